"""What a contrast over training seeds allows to conclude: shows, equivalent, opposite, undecided.

A contrast is one number per training seed: the difference of two conditions, averaged over the
same prompts. Its t interval over seeds answers "what would another training give"; a test for
equivalence answers "is there no change", which a t-test that finds nothing does not.
"""

import itertools
import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from attm_core.errors import InputError
from attm_core.evaluation.statistics import ALPHA, Interval, as_vector, is_constant

Verdict = Literal["shows", "equivalent", "opposite", "undecided"]
POWER = 0.8
_N_RESAMPLES = 2000


def equivalence_p(values: ArrayLike, margin: float) -> float:
    """TOST: the larger p of the one-sided t-tests of mean > −margin and mean < +margin.

    Schuirmann (1987). p < 0.05 says that the mean lies within ±margin.

    Raises:
        InputError: fewer than two values, or a margin that is not positive.
    """
    x = as_vector(values)
    if not margin > 0:
        raise InputError(f"an equivalence margin must be positive, got {margin}")
    if is_constant(x, max(margin, float(np.abs(x).max()))):
        return float(abs(x[0]) >= margin)
    above = stats.ttest_1samp(x, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(x, margin, alternative="less").pvalue
    return float(max(above, below))


def minimum_detectable_effect(sd: float, n: int, alpha: float = ALPHA) -> float:
    """The true mean that a two-sided t-test on n values finds with a probability of 80 %.

    (t_{1−α/2, n−1} + t_{0.8, n−1}) · sd/√n.

    Raises:
        InputError: fewer than two values, or a negative deviation.
    """
    if n < 2 or sd < 0:
        raise InputError("need n ≥ 2 and sd ≥ 0")
    quantiles = stats.t.isf(alpha / 2, n - 1) + stats.t.ppf(POWER, n - 1)
    return float(quantiles * sd / math.sqrt(n))


def sample_size_for(effect: float, sd: float) -> int:
    """The least number of values that detects ``effect`` > 0 with a probability of 80 %."""
    normal = float(stats.norm.isf(ALPHA / 2) + stats.norm.ppf(POWER)) * sd / effect
    sizes = itertools.count(max(2, math.ceil(normal**2)))  # t quantiles ask for a few more
    return next(n for n in sizes if minimum_detectable_effect(sd, n) <= effect)


def two_way_bootstrap(differences: ArrayLike, generator: np.random.Generator) -> Interval:
    """Percentile bootstrap of the mean of crossed differences: new seeds *and* new prompts.

    y(k, p) = μ + a_k + b_p + e_kp: rows and columns are resampled independently. It is somewhat
    too wide, for each resample also carries e_kp once more (Owen 2007), never too narrow.

    Args:
        differences: one finite value per seed and prompt (K, P), both at least two.
        generator: source of the resamples.

    Raises:
        InputError: not such a matrix.
    """
    table = np.asarray(differences, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise InputError(f"need finite differences (seeds ≥ 2, prompts ≥ 2), got {table.shape}")
    n_seeds, n_prompts = table.shape
    # A resample is a multiset: how often each row and each column occurs in it.
    seeds = generator.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), _N_RESAMPLES)
    prompts = generator.multinomial(n_prompts, np.full(n_prompts, 1 / n_prompts), _N_RESAMPLES)
    means = np.einsum("rk,kp,rp->r", seeds, table, prompts, optimize=True) / table.size
    low, high = np.quantile(means, [(1 - Interval.level) / 2, (1 + Interval.level) / 2])
    return Interval(float(table.mean()), float(low), float(high))


def verdict(effect: float, direction: int, p_difference: float, p_equivalence: float) -> Verdict:
    """The word for a contrast, by one rule.

    Within the margin (TOST) is ``equivalent``, whatever the sign; else, if it differs from zero,
    ``shows`` where the sign is the paper's and ``opposite`` where it is not, or where the paper
    says "no change"; else ``undecided``. So a paper's "no change" is confirmed by ``equivalent``
    and a paper's change by ``shows``.

    Args:
        effect: mean over seeds.
        direction: +1 or −1 as the paper has it, 0 for "no change".
        p_difference: of the t-test against zero, adjusted for the family of contrasts (Holm).
        p_equivalence: of the two one-sided tests, likewise.
    """
    if p_equivalence < ALPHA:
        return "equivalent"
    if p_difference >= ALPHA:
        return "undecided"
    return "shows" if effect * direction > 0 else "opposite"
