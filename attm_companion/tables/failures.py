"""Clips chosen by rule, not by ear: where metrics disagree, the worst of each, a random draw.

Chosen from the clips that conditions keep to be heard: the first prompts of each.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from attm_companion.study.conditions import ConditionStage
from attm_core.errors import InputError
from attm_core.randomness import numpy_generator


def kept_clips(conditions: Mapping[str, ConditionStage]) -> pd.DataFrame:
    """A line per kept clip: ``condition``, ``prompt`` and every score with a number a prompt."""
    frames = []
    for name, stage in conditions.items():
        kept = min(stage.protocol.n_listening, len(stage.scores()))
        scores = {metric: values[:kept] for metric, values in stage.scores().per_prompt.items()}
        frames.append(pd.DataFrame({"condition": name, "prompt": range(kept), **scores}))
    return pd.concat(frames, ignore_index=True)


def chosen_by_rule(clips: pd.DataFrame, seed: int, n_random: int = 2) -> dict[str, int]:
    """Rule → line of ``clips`` (see `kept_clips`), with ``n_random`` drawn by ``seed``.

    Raises:
        InputError: fewer than two clips, or fewer than are to be drawn.
    """
    if len(clips) < max(2, n_random):
        raise InputError(f"{len(clips)} clips are too few to choose from")
    spread = clips[["reward", "clap"]].std(ddof=0).replace(0.0, 1.0)
    standard = (clips[["reward", "clap"]] - clips[["reward", "clap"]].mean()) / spread
    gap = standard["reward"] - standard["clap"]
    chosen: dict[str, Any] = {
        "Reward high, CLAP low": gap.idxmax(),
        "CLAP high, Reward low": gap.idxmin(),
        "lowest Reward": clips["reward"].idxmin(),
        "lowest CLAP": clips["clap"].idxmin(),
    }
    if "level_dbfs" in clips:
        chosen["quietest"] = clips["level_dbfs"].idxmin()
    if "clipped" in clips and clips["clipped"].max() > 0:
        chosen["most clipped"] = clips["clipped"].idxmax()
    drawn = numpy_generator(seed, "listening").choice(len(clips), n_random, replace=False)
    chosen |= {f"drawn at random ({k})": clips.index[i] for k, i in enumerate(sorted(drawn), 1)}
    return {rule: int(line) for rule, line in chosen.items()}
