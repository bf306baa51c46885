"""What the 100 published per-prompt scores say about Table II: means, spread and paired t-tests."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from attm_companion.ledger.release.files import METRICS, SYSTEMS, Release
from attm_core.evaluation.statistics import paired_t_test, pearson

PAIRS = tuple(combinations(SYSTEMS, 2))


def describe_scores(table: pd.DataFrame) -> dict[str, Any]:
    """Mean, deviation (n − 1) and standard error of each system, and all paired tests.

    Args:
        table: a row a prompt, a column a system.
    """
    systems = {
        name: {
            "mean": float(table[name].mean()),
            "sd": float(table[name].std()),
            "se": float(table[name].std() / len(table) ** 0.5),
            "quantiles": [float(q) for q in table[name].quantile([0.05, 0.25, 0.5, 0.75, 0.95])],
        }
        for name in SYSTEMS
    }
    pairs = {f"{a}_{b}": compare(table[a], table[b]) for a, b in PAIRS}
    return {"n": len(table), "systems": systems, "pairs": pairs}


def compare(before: pd.Series[float], after: pd.Series[float]) -> dict[str, float]:
    """Paired t-test of after − before, two- and one-sided, with d_z, r and the share of wins."""
    test = paired_t_test(before.to_numpy(), after.to_numpy())
    greater = paired_t_test(before.to_numpy(), after.to_numpy(), "greater")
    return {
        "n": test.n,
        "difference": test.difference.estimate,
        "low": test.difference.low,
        "high": test.difference.high,
        "t": test.t,
        "p_two_sided": test.p,
        "p_one_sided": greater.p,
        "d_z": test.d_z,
        "r": pearson(before.to_numpy(), after.to_numpy()).estimate,
        "share_after_higher": float((after > before).mean()),
    }


def by_length(table: pd.DataFrame, prompts: Mapping[int, str]) -> dict[str, Any]:
    """The paired tests in the thirds of prompts with fewest, middling and most words."""
    words = pd.Series({number: len(text.split()) for number, text in prompts.items()})
    order = words.loc[table.index].sort_values(kind="stable").index
    thirds = zip(("short", "medium", "long"), np.array_split(order.to_numpy(), 3), strict=True)
    return {
        name: {
            "words": [int(words.loc[ids].min()), int(words.loc[ids].max())],
            "pairs": {f"{a}_{b}": compare(table.loc[ids, a], table.loc[ids, b]) for a, b in PAIRS},
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
    prompts = release.prompts()
    report = {}
    for metric in METRICS:
        table = release.scores(metric)
        report[metric] = describe_scores(table) | {
            "by_length": by_length(table, prompts),
            "histogram": histograms(table),
        }
    return report
