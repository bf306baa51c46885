"""The features of both clips of simulated votes, as the ranker's training reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.errors import InputError
from attm_core.ranker.training import PairFeatures
from attm_core.ranker.tunejury import ClipFeatures

TARGET_OF_WINNER = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5}


def targets(winners: Iterable[str]) -> Float[Tensor, " n"]:
    """Targets of winners ``model_a``, ``model_b``, ``tie``.

    Raises:
        InputError: any other winner.
    """
    winners = list(winners)
    if unknown := sorted(set(winners) - set(TARGET_OF_WINNER)):
        raise InputError(f"winners must be model_a, model_b or tie, got {unknown}")
    return torch.tensor([TARGET_OF_WINNER[winner] for winner in winners])


def gather_pairs(
    votes: pd.DataFrame,
    clap_audio: Mapping[str, Tensor],
    mert: Mapping[str, Tensor],
    prompts: Mapping[str, Tensor],
) -> PairFeatures:
    """Look up the features of each vote's two clips.

    Args:
        votes: rows of ``simulate_votes``: ``row_a kind_a row_b kind_b prompt winner``.
        clap_audio: per kind (``"mix"``, ``"instrumental"``) the embeddings (clips, P).
        mert: per kind the embeddings (clips, M).
        prompts: CLAP text embedding (P,) of each prompt; ``""`` needs none (a vector of zeros).

    Raises:
        InputError: a prompt without embedding, or an unknown winner.
    """
    width = next(iter(clap_audio.values())).shape[1]
    text = _prompt_features(votes["prompt"], prompts, width)
    sides = [
        ClipFeatures(
            _pick(clap_audio, votes[f"row_{side}"], votes[f"kind_{side}"]),
            _pick(mert, votes[f"row_{side}"], votes[f"kind_{side}"]),
            text,
        )
        for side in "ab"
    ]
    return PairFeatures(sides[0], sides[1], targets(votes["winner"]))


def _pick(
    tables: Mapping[str, Tensor], rows: pd.Series[int], kinds: pd.Series[str]
) -> Float[Tensor, "n width"]:
    index = torch.from_numpy(rows.to_numpy(dtype="int64", copy=True))
    picked = torch.empty(len(rows), next(iter(tables.values())).shape[1])
    for kind in kinds.unique():
        of_kind = torch.from_numpy((kinds == kind).to_numpy(dtype=bool, copy=True))
        picked[of_kind] = tables[kind][index[of_kind]]
    return picked


def _prompt_features(
    texts: pd.Series[str], prompts: Mapping[str, Tensor], width: int
) -> Float[Tensor, "n P"]:
    if missing := sorted(set(texts) - set(prompts) - {""}):
        raise InputError(f"{len(missing)} prompts have no embedding, the first {missing[0]!r}")
    known = {**prompts, "": torch.zeros(width)}
    return torch.stack([known[text] for text in texts])
