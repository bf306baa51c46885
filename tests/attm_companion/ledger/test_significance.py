import numpy as np
import pytest
from scipy import stats

from attm_companion.ledger.unpaired_bounds import (
    minimal_detectable_difference,
    significance_under_any_correlation,
    smallest_significant_difference,
)
from attm_core.errors import InputError
from attm_core.evaluation.statistics import paired_t_test


def test_smallest_significant_difference_by_hand() -> None:
    # equal deviations 1, r = 0.5: variance of the difference 1; n = 4: t₃(0.975) = 3.1824, /√4.
    value = smallest_significant_difference(1.0, 1.0, 4, 0.5)
    assert value == pytest.approx(3.182446 / 2, rel=1e-6)
    assert smallest_significant_difference(1.0, 1.0, 4, 1.0) == 0.0


def test_it_is_where_the_paired_test_turns() -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=30), rng.normal(size=30)
    y = x + noise - noise.mean()
    r = float(np.corrcoef(x, y)[0, 1])
    edge = smallest_significant_difference(x.std(ddof=1), y.std(ddof=1), 30, r)
    level = y - y.mean() + x.mean()
    assert (
        paired_t_test(x, level + 1.001 * edge).p < 0.05 < paired_t_test(x, level + 0.999 * edge).p
    )


def test_verdicts_under_any_correlation() -> None:
    worst = smallest_significant_difference(1.0, 0.5, 100, -1.0)
    best = smallest_significant_difference(1.0, 0.5, 100, 1.0)
    assert best < worst
    for difference, verdict in (
        (1.1 * worst, "always"),
        (-0.9 * worst, "depends"),
        (0.9 * best, "never"),
    ):
        assert significance_under_any_correlation(difference, 1.0, 0.5, 100) == verdict


def test_one_sided_needs_less() -> None:
    one = smallest_significant_difference(1, 1, 20, 0.0, alternative="greater")
    assert one < smallest_significant_difference(1, 1, 20, 0.0)


def test_minimal_detectable_difference_has_its_power() -> None:
    size = minimal_detectable_difference(1.0, 100, power=0.8)
    shift = size * np.sqrt(100)
    edge = stats.t.isf(0.025, 99)
    power = stats.nct.sf(edge, 99, shift)
    assert power == pytest.approx(0.8, abs=0.01)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(InputError, match="correlation"):
        smallest_significant_difference(1, 1, 10, 1.2)
    with pytest.raises(InputError, match="power"):
        minimal_detectable_difference(1.0, 10, power=1.0)
