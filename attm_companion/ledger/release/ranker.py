"""The ranker's public files against Section III-C: accuracy, ECE, splits, fresh votes."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from attm_companion.ledger.release.files import Release
from attm_core.ranker.calibration import ReliabilityBin, expected_calibration_error

SPLITS = ("train", "val", "test")
PARTS = ("train", "valid", "test")  # as the split files name them
SONGEVAL = "SongEval-balanced_split"


def source_of(pair_id: str) -> str:
    """Source of a pair, by the form of its id (Music Arena uses bare UUIDs)."""
    names = {"aime": "aime", "prefs": "musicprefs", "songeval": "songeval"}
    return names.get(pair_id.split("_")[0], "music_arena")


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson's score interval).

    >>> [round(bound, 3) for bound in wilson_interval(0.5, 100)]
    [0.404, 0.596]
    """
    interval = stats.binomtest(round(share * n), n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def chance_ece(bins: Iterable[ReliabilityBin]) -> float:
    """ECE to expect of a perfectly calibrated ranker with as many votes a bin.

    The gap of a bin is then normal with variance p(1−p)/n, so its mean size is √(2p(1−p)/(πn)).
    """
    bins = tuple(bins)
    gaps = [
        b.n * math.sqrt(2 * b.mean_confidence * (1 - b.mean_confidence) / (math.pi * b.n))
        for b in bins
    ]
    return sum(gaps) / sum(b.n for b in bins)


def audit_calibration(release: Release) -> dict[str, Any]:
    """Accuracy and ECE recomputed from the published bins."""
    overall = release.json("tunejury/calibration_bins.json")["overall"]
    bins = [ReliabilityBin(**row) for row in overall["bins"]]
    n = sum(b.n for b in bins)
    accuracy = sum(b.n * b.empirical_winrate for b in bins) / n
    low, high = wilson_interval(accuracy, n)
    return {
        "n": n,
        "accuracy": accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "ece": expected_calibration_error(bins),
        "ece_of_perfect_calibration": chance_ece(bins),
        "confidence": [b.mean_confidence for b in bins],
        "winrate": [b.empirical_winrate for b in bins],
    }


def audit_splits(release: Release) -> dict[str, Any]:
    """Sizes of the splits, their sources, and how SongEval was made."""
    files = {name: release.path(f"tunejury/splits/{name}.txt") for name in SPLITS}
    ids = {name: path.read_text().split() for name, path in files.items()}
    sources = {name: dict(sorted(Counter(map(source_of, ids[name])).items())) for name in SPLITS}
    stats = release.json(f"tunejury/splits/{SONGEVAL}.json")["metadata"]["stats"]
    return {
        "sizes": {name: len(ids[name]) for name in SPLITS},
        "total": sum(map(len, ids.values())),
        "sources": sources,
        "songeval_songs": sum(stats[f"{part}_songs"] for part in PARTS),
        "songeval_dropped_pairs": stats["dropped_pairs"],
    }


def audit_fresh_votes(release: Release) -> dict[str, Any]:
    """Agreement with votes cast after the ranker's data were frozen."""
    table = release.table("ma_postcut_scored")
    predicted = np.where(table.tj_a > table.tj_b, "A", "B")
    agree = pd.Series(predicted == table.preference)
    low, high = wilson_interval(float(agree.mean()), len(agree))
    return {
        "n": len(table),
        "accuracy": float(agree.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "n_systems": len(set(table.system_a) | set(table.system_b)),
    }
