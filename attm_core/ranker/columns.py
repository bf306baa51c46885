"""The three reward columns that every training clip carries (Section III-D, Data)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from attm_core.errors import InputError

REWARD_COLUMNS = ("reward_score", "instrumental_reward_score", "track_reward_score")


def reward_columns(
    table: pd.DataFrame,
    scores_mix: ArrayLike,
    scores_instrumental: ArrayLike,
    track_column: str = "piece_id",
) -> pd.DataFrame:
    """``reward_score``, ``instrumental_reward_score`` and ``track_reward_score`` of each clip.

    Args:
        table: one row a clip, with its track in ``track_column``.
        scores_mix: ranker scores of the full mixes, one a row.
        scores_instrumental: ranker scores of the instrumental stems, one a row.
        track_column: what the clips of one track share.

    Returns:
        The three columns, indexed as ``table``.

    Raises:
        InputError: a wrong number of scores, scores that are not finite, or no track column.
    """
    if track_column not in table:
        raise InputError(f"the table has no column {track_column!r}")
    mix = _checked(scores_mix, len(table), "mix")
    columns = {
        "reward_score": mix,
        "instrumental_reward_score": _checked(scores_instrumental, len(table), "instrumental"),
    }
    rewards = pd.DataFrame(columns, index=table.index)
    # PAPER-SILENT: "track-level mean" does not say of which audio; it is the mean of the
    # full-audio scores here, since the column is listed beside `reward_score`.
    tracks = rewards["reward_score"].groupby(table[track_column])
    return rewards.assign(track_reward_score=tracks.transform("mean"))


def _checked(scores: ArrayLike, n: int, name: str) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (n,) or not np.isfinite(values).all():
        raise InputError(f"{name} scores must be {n} finite numbers, got shape {values.shape}")
    return values
