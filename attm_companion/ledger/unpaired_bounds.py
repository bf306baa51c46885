"""What a table of means can have shown: bounds on paired significance without the pairs.

A paper prints means (and at best deviations) per row; its paired t-tests (Tables II and III) depend
on the correlation over prompts, which it does not print. These functions bound them.
"""

from __future__ import annotations

import math
from typing import Literal

from scipy import stats

from attm_core.errors import InputError
from attm_core.evaluation.statistics import Alternative


def smallest_significant_difference(
    sd_before: float,
    sd_after: float,
    n: int,
    correlation: float,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
) -> float:
    """The |mean difference| at which a paired t-test of two samples just reaches ``alpha``.

    The variance of the differences is sd_b² + sd_a² − 2·r·sd_b·sd_a. Over all r it is largest at
    r = −1 and smallest at r = +1, which bounds what a table of means alone can have shown.

    Args:
        sd_before: standard deviation of one sample over prompts (n − 1).
        sd_after: the other's.
        n: number of prompts.
        correlation: r between the two over prompts, −1 to 1.
        alpha: significance level.
        alternative: two- or one-sided.

    Raises:
        InputError: r outside [−1, 1], negative deviations, or fewer than two prompts.
    """
    if not -1 <= correlation <= 1 or min(sd_before, sd_after) < 0 or n < 2:
        raise InputError("need −1 ≤ correlation ≤ 1, deviations ≥ 0 and n ≥ 2")
    variance = sd_before**2 + sd_after**2 - 2 * correlation * sd_before * sd_after
    tail = alpha / 2 if alternative == "two-sided" else alpha
    return float(stats.t.isf(tail, n - 1) * math.sqrt(max(variance, 0.0) / n))


def significance_under_any_correlation(
    difference: float,
    sd_before: float,
    sd_after: float,
    n: int,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
) -> Literal["always", "never", "depends"]:
    """Whether a reported mean difference is significant whatever the pairing.

    Args:
        difference: |mean of after − before|, as read from a table (in the direction tested).
        sd_before: standard deviation over prompts of one row.
        sd_after: of the other row.
        n: number of prompts.
        alpha: significance level.
        alternative: two- or one-sided.

    Returns:
        ``"always"`` if significant at r = −1, ``"never"`` if not even at r = +1, or ``"depends"``.
    """
    deviations = (sd_before, sd_after, n)
    worst, best = (
        smallest_significant_difference(*deviations, correlation, alpha, alternative)
        for correlation in (-1.0, 1.0)
    )
    size = abs(difference)
    return "always" if size > worst else "never" if size <= best else "depends"


def minimal_detectable_difference(
    sd_difference: float, n: int, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The true mean difference that a two-sided paired t-test finds with probability ``power``.

    Normal approximation with t quantiles: (t_{1−α/2} + t_{power}) · sd/√n, df = n − 1.
    """
    if n < 2 or sd_difference < 0 or not 0 < power < 1:
        raise InputError("need n ≥ 2, sd_difference ≥ 0 and 0 < power < 1")
    quantiles = stats.t.isf(alpha / 2, n - 1) + stats.t.ppf(power, n - 1)
    return float(quantiles * sd_difference / math.sqrt(n))
