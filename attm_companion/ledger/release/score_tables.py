"""The ranker's scores of real music: where a reward lies among MTG-Jamendo and SDD tracks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from attm_companion.ledger.release.files import SYSTEMS, Release

EDGES = np.linspace(-5.0, 5.0, 41)
TABLES = {"jamendo": "mtg_jamendo_scores_rescored", "sdd": "sdd_scores"}


def describe(scores: pd.Series[float], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Moments, percentiles, histogram, and the share of tracks at or above each threshold."""
    return {
        "n": len(scores),
        "mean": float(scores.mean()),
        "sd": float(scores.std()),
        "p5": float(scores.quantile(0.05)),
        "p50": float(scores.quantile(0.50)),
        "p80": float(scores.quantile(0.80)),
        "p95": float(scores.quantile(0.95)),
        "max": float(scores.max()),
        "share_at_or_above": {
            name: float((scores >= value).mean()) for name, value in thresholds.items()
        },
        "histogram": {"edges": EDGES.tolist(), "counts": np.histogram(scores, EDGES)[0].tolist()},
    }


def track_numbers(table: pd.DataFrame, column: str) -> pd.Series[int]:
    """Jamendo track number in an id (``sdd_5089.2min``) or a path (``00/1002000.mp3``)."""
    digits = table[column].str.extract(r"(\d+)(?:\.2min|\.mp3)?$", expand=False)
    return pd.Series(digits.to_numpy(dtype=int), index=table.index)


def audit_score_tables(release: Release, thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Both score tables, and how many Song Describer tracks are in the Jamendo list.

    Args:
        release: the public artefacts.
        thresholds: rewards to place among the tracks, by name.
    """
    rewards = release.scores("reward")
    levels = {**thresholds, **{f"mean_{name}": float(rewards[name].mean()) for name in SYSTEMS}}
    tables = {name: release.table(file) for name, file in TABLES.items()}
    report: dict[str, Any] = {
        name: describe(table["reward_score"], levels) for name, table in tables.items()
    }
    jamendo = tables["jamendo"].assign(number=track_numbers(tables["jamendo"], "relative_path"))
    sdd = tables["sdd"].assign(number=track_numbers(tables["sdd"], "track_id"))
    both = sdd.merge(jamendo, on="number", suffixes=("_sdd", "_jamendo"))
    report["sdd_tracks_in_jamendo"] = len(both)
    report["sdd_jamendo_r"] = float(both.reward_score_sdd.corr(both.reward_score_jamendo))
    return report
