"""The tests and intervals of Section IV on scipy: paired t, correlations, Δ_out, bootstrap, Holm.

scipy computes them; here are the shape of a result (`Interval`), one check of all inputs, and a
result where scipy has none: samples that are constant up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from attm_core.errors import InputError

Alternative = Literal["two-sided", "greater", "less"]
Vector = NDArray[np.float64]

LEVEL = 0.95
ALPHA = 0.05  # of † and * in Tables II and III
_ROUNDING = 1e-12  # deviations below this share of the values are rounding, not variation


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; ``nan`` bounds where none exists."""

    estimate: float
    low: float
    high: float
    level: float = LEVEL

    def describe(self, digits: int = 3) -> str:
        """The interval as text, e.g. ``0.50 [0.40, 0.61]``."""
        return f"{self.estimate:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


@dataclass(frozen=True)
class PairedTest:
    """A paired t-test of ``after`` against ``before``."""

    n: int  # pairs
    difference: Interval  # mean of after − before with its two-sided 95 % interval
    t: float  # infinite when all differences are equal and not zero, 0 when all are zero
    p: float  # of ``alternative``, the hypothesis about the mean difference
    alternative: Alternative
    d_z: float  # Cohen's d of the differences (mean over standard deviation)

    def significant(self, alpha: float = ALPHA) -> bool:
        """Whether p < alpha: † of Table II if one-sided, no * of Table III if two-sided."""
        # PAPER-SILENT: Table III says "paired-t, p ≥ 0.05" without saying one- or two-sided; it is
        # read as two-sided there.
        return self.p < alpha


def as_vector(values: ArrayLike, name: str = "values", minimum: int = 2) -> Vector:
    """``values`` as float64 if they are a finite vector of at least ``minimum`` numbers.

    Raises:
        InputError: wrong rank, too short, NaN or infinite.
    """
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise InputError(f"{name} must be a vector, got shape {vector.shape}")
    if vector.size < minimum:
        raise InputError(f"{name} holds {vector.size} values, at least {minimum} are needed")
    if not np.isfinite(vector).all():
        raise InputError(f"{name} holds NaN or infinite values")
    return vector


def _as_pairs(first: ArrayLike, second: ArrayLike) -> tuple[Vector, Vector]:
    """Two checked vectors of equal length, two pairs at least."""
    x, y = as_vector(first, "first sample"), as_vector(second, "second sample")
    if x.size != y.size:
        raise InputError(f"paired samples differ in length: {x.size} and {y.size}")
    return x, y


def is_constant(values: Vector, scale: float | None = None) -> bool:
    """Whether a sample varies by no more than rounding of numbers of size ``scale``."""
    size = float(np.abs(values).max()) if scale is None else scale
    return float(np.ptp(values)) <= _ROUNDING * size


def mean_interval(values: ArrayLike, level: float = LEVEL) -> Interval:
    """Mean with its t interval, mean ± t_{(1+level)/2, n−1} · sd/√n."""
    x = as_vector(values)
    mean = float(x.mean())
    if is_constant(x):
        return Interval(mean, mean, mean, level)
    low, high = stats.t.interval(level, x.size - 1, loc=mean, scale=stats.sem(x))
    return Interval(mean, float(low), float(high), level)


def paired_t_test(
    before: ArrayLike, after: ArrayLike, alternative: Alternative = "two-sided"
) -> PairedTest:
    """Student's paired t-test on the same prompts (the † and * of Tables II and III).

    ``before`` and ``after`` hold one value per prompt (n,) in the same order; ``"greater"`` tests
    after > before (the paper's one-sided improvement).

    Raises:
        InputError: unequal lengths, fewer than two pairs, non-finite values, unknown alternative.
    """
    if alternative not in ("two-sided", "greater", "less"):
        raise InputError(f"alternative {alternative!r} is not two-sided, greater or less")
    x, y = _as_pairs(before, after)
    delta = y - x
    if is_constant(delta, float(np.abs([x, y]).max())):
        return _equal_differences(delta, alternative)
    test = stats.ttest_rel(y, x, alternative=alternative)
    t, p = float(test.statistic), float(test.pvalue)
    d_z = float(delta.mean() / delta.std(ddof=1))
    return PairedTest(delta.size, mean_interval(delta), t, p, alternative, d_z)


def _equal_differences(delta: Vector, alternative: Alternative) -> PairedTest:
    """The limit of a vanishing deviation."""
    mean = float(np.median(delta))
    t = math.copysign(math.inf, mean) if mean else 0.0
    p = {
        "two-sided": 0.0 if t else 1.0,
        "greater": 0.5 - 0.5 * np.sign(t),
        "less": 0.5 + 0.5 * np.sign(t),
    }
    return PairedTest(
        delta.size, Interval(mean, mean, mean), t, float(p[alternative]), alternative, t
    )


def _as_varying_pairs(x: ArrayLike, y: ArrayLike) -> tuple[Vector, Vector]:
    first, second = _as_pairs(x, y)
    if is_constant(first) or is_constant(second):
        raise InputError("a correlation needs two samples that vary by more than rounding")
    return first, second


def pearson(x: ArrayLike, y: ArrayLike, level: float = LEVEL) -> Interval:
    """Pearson's r with the Fisher-z interval, tanh(atanh r ± z/√(n−3)).

    Bounds are NaN below four pairs.

    Raises:
        InputError: fewer than two pairs, or a sample that is constant up to rounding.
    """
    first, second = _as_varying_pairs(x, y)
    found = stats.pearsonr(first, second)
    bounds = found.confidence_interval(level) if first.size > 3 else (math.nan, math.nan)
    return Interval(float(found.statistic), float(bounds[0]), float(bounds[1]), level)


def spearman(x: ArrayLike, y: ArrayLike, level: float = LEVEL) -> Interval:
    """Spearman's ρ: Pearson's r of the ranks (ties share their mean rank).

    The interval is Fisher's with the variance factor 1.06 of Fieller, Hartley and Pearson (1957).
    """
    first, second = _as_varying_pairs(x, y)
    rho = float(stats.spearmanr(first, second).statistic)
    if first.size < 4:
        return Interval(rho, math.nan, math.nan, level)
    half = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(1.06 / (first.size - 3))
    with np.errstate(divide="ignore"):  # |ρ| = 1: the interval is the point
        low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return Interval(rho, float(low), float(high), level)


def score_correlation(
    rewards: Mapping[float, ArrayLike], generator: np.random.Generator
) -> Interval:
    """Score-r of Table I: Pearson's r of input s and output reward over all clips and scores.

    ``rewards`` maps each s to the rewards (n,) of the same clips in the same order. The clips recur
    at every s, so the interval resamples clips, not single generations.
    """
    table = np.stack([as_vector(values) for values in rewards.values()], axis=1)
    s = np.broadcast_to(np.array(list(rewards), dtype=np.float64), table.shape)

    def r(rows: NDArray[np.int64]) -> float:
        return pearson(s[rows].ravel(), table[rows].ravel()).estimate

    clips = as_vector(np.arange(len(table)), "clips to resample").astype(np.int64)
    options = {"n_resamples": 1000, "vectorized": False, "method": "percentile"}
    found = stats.bootstrap((clips,), r, **options, rng=generator).confidence_interval
    return Interval(r(clips), float(found.low), float(found.high))


def delta_out(rewards: Mapping[float, ArrayLike], high: float = 1.5, low: float = -0.5) -> Interval:
    """Δ_out of Table I: output reward at s = +1.5 minus that at s = −0.5, clip by clip.

    Raises:
        InputError: one of the two scores was not run.

    >>> delta_out({-0.5: [0.0, 0.2], 1.5: [1.0, 1.4]}).estimate
    1.1
    """
    if missing := [s for s in (high, low) if s not in rewards]:
        raise InputError(f"no rewards at s = {missing}; there are {sorted(rewards)}")
    return paired_t_test(rewards[low], rewards[high]).difference


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = as_vector(p_values, "p values", minimum=1)
    if (p < 0).any() or (p > 1).any():
        raise InputError("p values lie between 0 and 1")
    order, adjusted = np.argsort(p, kind="stable"), np.empty_like(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]
