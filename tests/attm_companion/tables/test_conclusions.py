import math

import numpy as np
import pytest
from scipy import stats

from attm_companion.tables import conclusions
from attm_core.errors import InputError

# Eight seeds with mean 0 and n − 1 deviation 1.
UNIT = np.array([-1.0, 1.0] * 4) * math.sqrt(7 / 8)


def test_equivalence_by_hand() -> None:
    # mean 0, standard error 1/√8: both tests have t = margin·√8.
    assert conclusions.equivalence_p(UNIT, 0.5) == pytest.approx(stats.t.sf(0.5 * math.sqrt(8), 7))
    # A mean of 0.5 at the margin 0.5: t = 0.
    assert conclusions.equivalence_p(UNIT + 0.5, 0.5) == pytest.approx(0.5)
    assert conclusions.equivalence_p([0.02, 0.02], 0.05) == 0.0
    assert conclusions.equivalence_p([0.07, 0.07], 0.05) == 1.0


def test_equivalence_is_the_90_percent_interval_inside_the_margin() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        x = rng.normal(0.1, 0.2, size=6)
        half = stats.t.ppf(0.95, 5) * x.std(ddof=1) / math.sqrt(6)
        inside = abs(x.mean()) + half < 0.3
        assert (conclusions.equivalence_p(x, 0.3) < 0.05) == inside


def test_detectable_effect_by_hand_and_by_simulation() -> None:
    # K = 8: t₇(0.975) + t₇(0.8) = 2.36462 + 0.89603, over √8.
    effect = conclusions.minimum_detectable_effect(1.0, 8)
    assert effect == pytest.approx(3.26065 / math.sqrt(8), rel=1e-5)
    assert conclusions.sample_size_for(effect, 1.0) == 8
    assert conclusions.sample_size_for(0.05, 0.5) > (2.8 * 10) ** 2
    draws = np.random.default_rng(0).normal(effect, 1.0, size=(2000, 8))
    found = stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_two_way_bootstrap_sees_both_levels() -> None:
    rng = np.random.default_rng(1)
    seeds, prompts = rng.normal(0, 0.3, (8, 1)), rng.normal(0, 0.5, (1, 40))
    none = np.zeros((8, 40))
    tables = {"seeds": seeds + none, "prompts": prompts + none, "both": seeds + prompts}
    found = {name: conclusions.two_way_bootstrap(table, rng) for name, table in tables.items()}
    width = {name: interval.high - interval.low for name, interval in found.items()}
    # A percentile interval is 2 · 1.96 · sd(population)/√n wide, up to its own noise.
    assert width["seeds"] == pytest.approx(3.92 * seeds.std() / math.sqrt(8), rel=0.15)
    assert width["prompts"] == pytest.approx(3.92 * prompts.std() / math.sqrt(40), rel=0.15)
    assert width["both"] == pytest.approx(math.hypot(width["seeds"], width["prompts"]), rel=0.15)


@pytest.mark.parametrize(
    ("values", "direction", "expected"),
    [
        (0.2 + 0.02 * UNIT, 1, "shows"),
        (0.2 + 0.02 * UNIT, -1, "opposite"),
        (0.2 + 0.02 * UNIT, 0, "opposite"),
        (0.01 + 0.002 * UNIT, 0, "equivalent"),
        (0.01 + 0.002 * UNIT, 1, "equivalent"),
        (0.04 + 0.2 * UNIT, 1, "undecided"),
        (0.04 + 0.2 * UNIT, 0, "undecided"),
    ],
)
def test_verdicts(values: np.ndarray, direction: int, expected: str) -> None:
    p = float(stats.ttest_1samp(values, 0).pvalue)
    p_equal = conclusions.equivalence_p(values, 0.05)
    assert conclusions.verdict(values.mean(), direction, p, p_equal) == expected


def test_bad_requests_are_refused() -> None:
    with pytest.raises(InputError, match="margin must be positive"):
        conclusions.equivalence_p(UNIT, 0.0)
    with pytest.raises(InputError, match="n ≥ 2"):
        conclusions.minimum_detectable_effect(1.0, 1)
    with pytest.raises(InputError, match="seeds ≥ 2"):
        conclusions.two_way_bootstrap(np.zeros((1, 5)), np.random.default_rng(0))
