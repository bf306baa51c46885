"""The tests and intervals of Section IV: paired t-tests, correlations, Δ_out, bootstrap."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from attm_core.errors import InputError

Alternative = Literal["two-sided", "greater", "less"]
Vector = NDArray[np.float64]

LEVEL = 0.95
N_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; ``nan`` bounds where none exists."""

    estimate: float
    low: float
    high: float
    level: float = LEVEL

    def describe(self, digits: int = 3) -> str:
        """The interval as text.

        >>> Interval(0.5, 0.4, 0.61).describe(2)
        '0.50 [0.40, 0.61]'
        """
        return f"{self.estimate:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


@dataclass(frozen=True)
class PairedTest:
    """A paired t-test of ``after`` against ``before``.

    Attributes:
        n: number of pairs.
        difference: mean of after − before with its two-sided interval.
        t: t statistic; infinite when all differences are equal and not zero, 0 when all are zero.
        p: p value of ``alternative``.
        alternative: the hypothesis about the mean difference.
        d_z: Cohen's d of the differences (mean over standard deviation).
    """

    n: int
    difference: Interval
    t: float
    p: float
    alternative: Alternative
    d_z: float

    def describe(self) -> str:
        """Difference, statistic and p in one line."""
        return (
            f"Δ = {self.difference.describe()}, t({self.n - 1}) = {self.t:.2f}, "
            f"p = {self.p:.3g} ({self.alternative}), d_z = {self.d_z:.2f}, n = {self.n}"
        )


def as_vector(values: ArrayLike, name: str = "values", minimum: int = 2) -> Vector:
    """Check that ``values`` is a finite vector of at least ``minimum`` numbers.

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


def as_pairs(first: ArrayLike, second: ArrayLike, minimum: int = 2) -> tuple[Vector, Vector]:
    """Check two vectors of equal length.

    Raises:
        InputError: as ``as_vector``, or different lengths.
    """
    x = as_vector(first, "first sample", minimum)
    y = as_vector(second, "second sample", minimum)
    if x.size != y.size:
        raise InputError(f"paired samples differ in length: {x.size} and {y.size}")
    return x, y


def mean_interval(values: ArrayLike, level: float = LEVEL) -> Interval:
    """Mean with its t interval, mean ± t_{(1+level)/2, n−1} · sd/√n."""
    x = as_vector(values)
    half = stats.t.ppf((1 + level) / 2, x.size - 1) * x.std(ddof=1) / math.sqrt(x.size)
    mean = float(x.mean())
    return Interval(mean, mean - float(half), mean + float(half), level)


def paired_t_test(
    before: ArrayLike, after: ArrayLike, alternative: Alternative = "two-sided"
) -> PairedTest:
    """Student's paired t-test on the same prompts (the † and * of Tables II and III).

    Args:
        before: one value a prompt (n,).
        after: one value a prompt (n,), same order.
        alternative: ``"greater"`` tests after > before (the paper's one-sided improvement).

    Returns:
        Statistic, p, mean difference with 95 % interval and effect size.

    Raises:
        InputError: unequal lengths, fewer than two pairs, non-finite values, unknown alternative.
    """
    x, y = as_pairs(before, after)
    delta = y - x
    sd, mean, n = float(delta.std(ddof=1)), float(delta.mean()), delta.size
    d_z = mean / sd if sd > 0 else math.copysign(math.inf, mean) if mean else 0.0
    t = d_z * math.sqrt(n)
    p = t_p_value(t, n - 1, alternative)
    return PairedTest(n, mean_interval(delta), t, p, alternative, d_z)


def t_p_value(t: float, df: int, alternative: Alternative = "two-sided") -> float:
    """Tail probability of a t statistic.

    Raises:
        InputError: unknown alternative.
    """
    if alternative == "two-sided":
        return float(2 * stats.t.sf(abs(t), df))
    if alternative not in ("greater", "less"):
        raise InputError(f"alternative {alternative!r} is not two-sided, greater or less")
    return float(stats.t.sf(t if alternative == "greater" else -t, df))


def bootstrap_interval(
    values: ArrayLike,
    generator: np.random.Generator,
    statistic: Callable[[Vector], Vector] | None = None,
    level: float = LEVEL,
    n_resamples: int = N_RESAMPLES,
) -> Interval:
    """Percentile bootstrap over items.

    Args:
        values: (n,) or (n, k); rows are resampled.
        generator: source of the resamples.
        statistic: maps resamples (r, n, …) to (r,); the mean over axis 1 if None.
        level: coverage.
        n_resamples: number of resamples r.

    Raises:
        InputError: fewer than two items or non-finite values.
    """
    x = np.asarray(values, dtype=np.float64)
    as_vector(x.ravel())
    chosen = statistic or _row_means
    rows = generator.integers(0, len(x), size=(n_resamples, len(x)))
    low, high = np.quantile(chosen(x[rows]), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(chosen(x[None])[0]), float(low), float(high), level)


def _row_means(resamples: Vector) -> Vector:
    means: Vector = resamples.mean(axis=1)
    return means


def paired_bootstrap(
    before: ArrayLike,
    after: ArrayLike,
    generator: np.random.Generator,
    level: float = LEVEL,
    n_resamples: int = N_RESAMPLES,
) -> Interval:
    """Percentile bootstrap of the mean of after − before; prompts are resampled in pairs."""
    x, y = as_pairs(before, after)
    return bootstrap_interval(y - x, generator, level=level, n_resamples=n_resamples)


def pearson(x: ArrayLike, y: ArrayLike, level: float = LEVEL) -> Interval:
    """Pearson's r with the Fisher-z interval, tanh(atanh r ± z/√(n−3)).

    Bounds are NaN below four pairs and at |r| = 1 the interval is the point.

    Raises:
        InputError: fewer than two pairs, or a constant sample.
    """
    first, second = as_pairs(x, y)
    a, b = first - first.mean(), second - second.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    if scale == 0.0:
        raise InputError("a correlation needs two samples that vary")
    r = min(1.0, max(-1.0, float(a @ b) / scale))
    return _fisher_interval(r, 1.0, a.size, level)


def spearman(x: ArrayLike, y: ArrayLike, level: float = LEVEL) -> Interval:
    """Spearman's ρ: Pearson's r of the ranks (ties share their mean rank).

    The interval is Fisher's with the variance factor 1.06 of Fieller, Hartley and Pearson (1957).
    """
    first, second = as_pairs(x, y)
    rho = pearson(stats.rankdata(first), stats.rankdata(second)).estimate
    return _fisher_interval(rho, 1.06, first.size, level)


def _fisher_interval(r: float, factor: float, n: int, level: float) -> Interval:
    if n < 4:
        return Interval(r, math.nan, math.nan, level)
    if abs(r) == 1.0:
        return Interval(r, r, r, level)
    half = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(factor / (n - 3))
    z = math.atanh(r)
    return Interval(r, math.tanh(z - half), math.tanh(z + half), level)


def delta_out(
    rewards_by_s: Mapping[float, ArrayLike], high: float = 1.5, low: float = -0.5
) -> float:
    """Δ_out of Table I: mean output reward at s = +1.5 minus that at s = −0.5.

    Args:
        rewards_by_s: rewards of the outputs (n,) by input score.
        high: upper input score.
        low: lower input score.

    Raises:
        InputError: one of the two scores was not run.

    >>> delta_out({-0.5: [0.0, 0.2], 1.5: [1.0, 1.2]})
    1.0
    """
    missing = [s for s in (high, low) if s not in rewards_by_s]
    if missing:
        raise InputError(f"no rewards at s = {missing}; there are {sorted(rewards_by_s)}")
    means = [float(as_vector(rewards_by_s[s], minimum=1).mean()) for s in (high, low)]
    return means[0] - means[1]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = as_vector(p_values, "p values", minimum=1)
    if (p < 0).any() or (p > 1).any():
        raise InputError("p values lie between 0 and 1")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]
