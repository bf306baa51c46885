"""The 100 published scores per prompt beside Table II, and the ranker's scores of real tracks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from attm_companion.ledger.release.files import METRICS, SYSTEMS, Release
from attm_core.evaluation.statistics import paired_t_test, pearson

PAIRS = tuple(combinations(SYSTEMS, 2))
EDGES = np.linspace(-5.0, 5.0, 41)
TABLES = {"jamendo": "mtg_jamendo_scores_rescored", "sdd": "sdd_scores"}


def describe_scores(table: pd.DataFrame) -> dict[str, Any]:
    """Mean, deviation (n − 1) and standard error of each system, and all paired tests."""
    described = {"mean": table.mean(), "sd": table.std(), "se": table.sem()}
    systems = {n: {name: float(row[n]) for name, row in described.items()} for n in SYSTEMS}
    return {"n": len(table), "systems": systems, "pairs": compare_all(table)}


def compare_all(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """`compare` for each pair of systems."""
    return {f"{a}_{b}": compare(table[a], table[b]) for a, b in PAIRS}


def compare(before: pd.Series[float], after: pd.Series[float]) -> dict[str, float]:
    """Paired t-test of after − before, two- and one-sided, with d_z, r and the share of wins."""
    values = before.to_numpy(), after.to_numpy()
    test, greater = paired_t_test(*values), paired_t_test(*values, "greater")
    return {
        "n": test.n,
        "difference": test.difference.estimate,
        "low": test.difference.low,
        "high": test.difference.high,
        "t": test.t,
        "p_two_sided": test.p,
        "p_one_sided": greater.p,
        "d_z": test.d_z,
        "r": pearson(*values).estimate,
    }


def by_length(table: pd.DataFrame, prompts: Mapping[int, str]) -> dict[str, Any]:
    """The paired tests in the thirds of prompts with fewest, middling and most words."""
    words = pd.Series({number: len(text.split()) for number, text in prompts.items()})
    order = words.loc[table.index].sort_values(kind="stable").index
    thirds = zip(("short", "medium", "long"), np.array_split(order.to_numpy(), 3), strict=True)
    return {
        name: {
            "words": [int(words.loc[ids].min()), int(words.loc[ids].max())],
            "pairs": compare_all(table.loc[ids]),
        }
        for name, ids in thirds
    }


def histograms(table: pd.DataFrame, n_bins: int = 16) -> dict[str, Any]:
    """Counts of each system over common bins: enough to draw a distribution, no single score."""
    edges = np.linspace(table.to_numpy().min(), table.to_numpy().max(), n_bins + 1)
    counts = {name: np.histogram(table[name], edges)[0].tolist() for name in SYSTEMS}
    return {"edges": edges.tolist(), "counts": counts}


def audit_scores(release: Release) -> dict[str, Any]:
    """All of the above for CLAP score and Reward."""
    prompts, tables = release.prompts(), {metric: release.scores(metric) for metric in METRICS}
    return {
        metric: describe_scores(table)
        | {"by_length": by_length(table, prompts), "histogram": histograms(table)}
        for metric, table in tables.items()
    }


def describe_tracks(scores: pd.Series[float], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Moments, percentiles, histogram, and the share of tracks at or above each threshold."""
    return {
        "n": len(scores),
        "mean": float(scores.mean()),
        "sd": float(scores.std()),
        "p5": float(scores.quantile(0.05)),
        "p95": float(scores.quantile(0.95)),
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

    ``thresholds`` are rewards to place among the tracks, by name.
    """
    rewards = release.scores("reward")
    levels = {**thresholds, "mean_sub1": float(rewards["sub1"].mean())}
    tables = {name: release.table(file) for name, file in TABLES.items()}
    report: dict[str, Any] = {
        name: describe_tracks(table["reward_score"], levels) for name, table in tables.items()
    }
    jamendo = tables["jamendo"].assign(number=track_numbers(tables["jamendo"], "relative_path"))
    sdd = tables["sdd"].assign(number=track_numbers(tables["sdd"], "track_id"))
    both = sdd.merge(jamendo, on="number", suffixes=("_sdd", "_jamendo"))
    report["sdd_tracks_in_jamendo"] = len(both)
    return report
