"""How well ranker margins predict votes (Section III-C): pairwise accuracy, ECE, reliability bins.

Definitions are those of the released ``calibration_bins.json``: votes are sorted by |s(A) − s(B)|
into bins of equal count; a bin's confidence is the mean of σ(|margin|), its accuracy the share of
votes that went the way of the margin; ECE is the count-weighted mean of their absolute difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from attm_core.errors import InputError

_WINNERS = ("model_a", "model_b", "tie")


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of the reliability diagram; names as in the released file."""

    bin: int
    margin_lo: float
    margin_hi: float
    n: int
    mean_abs_margin: float
    mean_confidence: float
    empirical_winrate: float


@dataclass(frozen=True)
class CalibrationReport:
    """Accuracy and calibration over the votes that are not ties."""

    n_total: int
    n_ties: int
    accuracy_overall: float
    expected_calibration_error: float
    bins: tuple[ReliabilityBin, ...]


def _hits(margin: NDArray[np.float64], winner: Iterable[str]) -> NDArray[np.float64]:
    """1 where the margin s(A) − s(B) agrees with the vote, 0 where it does not, NaN for ties."""
    margin, votes = np.asarray(margin, dtype=np.float64), np.asarray(list(winner), dtype=object)
    if margin.shape != votes.shape or margin.ndim != 1:
        raise InputError(f"{margin.shape} margins do not match {votes.shape} votes")
    if not np.isfinite(margin).all():
        raise InputError("margins hold NaN or infinite values")
    if unknown := set(votes) - set(_WINNERS):
        raise InputError(f"winners must be model_a, model_b or tie, got {sorted(unknown)}")
    # PAPER-SILENT: a margin of exactly zero decides nothing and counts one half, so that a ranker
    # that gives every clip the same score has accuracy 0.5 (the released code would say B).
    agree = (1.0 + np.sign(margin) * np.where(votes == "model_a", 1.0, -1.0)) / 2.0
    return np.where(votes == "tie", np.nan, agree)


def calibration_report(
    margin: NDArray[np.float64], winner: Iterable[str], n_bins: int = 10
) -> CalibrationReport:
    """Accuracy, ECE and reliability bins of one set of votes, ties left out.

    Bins have equal counts by |margin|: ⌊n / n_bins⌋ votes each, the remainder in the last.

    Raises:
        InputError: not one finite margin per vote, an unknown winner, or fewer votes than bins.
    """
    agree = _hits(margin, winner)
    voted = ~np.isnan(agree)
    size, agree = np.abs(np.asarray(margin, dtype=np.float64)[voted]), agree[voted]
    if n_bins < 1 or len(size) < n_bins:
        raise InputError(f"{len(size)} votes that are not ties cannot fill {n_bins} bins")
    order = np.argsort(size, kind="stable")
    parts = np.split(order, np.arange(1, n_bins) * (len(size) // n_bins))
    bins = tuple(
        ReliabilityBin(
            bin=number,
            margin_lo=float(size[rows[0]]),
            margin_hi=float(size[rows[-1]]),
            n=len(rows),
            mean_abs_margin=float(size[rows].mean()),
            mean_confidence=float(expit(size[rows]).mean()),
            empirical_winrate=float(agree[rows].mean()),
        )
        for number, rows in enumerate(parts)
    )
    ece, n_ties = expected_calibration_error(bins), len(voted) - len(size)
    return CalibrationReport(len(size), n_ties, float(agree.mean()), ece, bins)


def expected_calibration_error(bins: Iterable[ReliabilityBin]) -> float:
    """ECE: Σ n·|confidence − win rate| / Σ n over the bins, in [0, 1]."""
    bins = tuple(bins)
    gaps = sum(bin_.n * abs(bin_.mean_confidence - bin_.empirical_winrate) for bin_ in bins)
    return gaps / sum(bin_.n for bin_ in bins)


def accuracy_by(
    groups: Iterable[str], margin: NDArray[np.float64], winner: Iterable[str]
) -> pd.DataFrame:
    """Pairwise accuracy of each group (a data source, say): index group, columns ``n accuracy``."""
    table = pd.DataFrame({"group": list(groups), "hit": _hits(margin, winner)}).dropna()
    grouped = table.groupby("group")["hit"]
    return pd.DataFrame({"n": grouped.size(), "accuracy": grouped.mean()})
