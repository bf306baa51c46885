import numpy as np
import pytest

from attm_core.errors import InputError
from attm_core.evaluation.reward import improves, reward, tied


def test_reward_by_hand() -> None:
    # mean 0.5, sd 0.5, t₂(0.975) = 4.302653: half width 4.302653 · 0.5/√3.
    result = reward([0.0, 0.5, 1.0])
    half = 4.302653 * 0.5 / 3**0.5
    assert (result.mean.low, result.mean.high) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-6)
    assert result.describe().startswith("Reward +0.500 [-0.742, +1.742]")


def test_marks_of_the_tables() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(size=100)
    better = before + 0.3 + 0.1 * rng.normal(size=100)
    assert improves(before, better)[0]
    assert not improves(better, before)[0]
    assert not tied(better, before)[0]
    assert tied(before + 0.01 * rng.normal(size=100), before)[0]


def test_bad_scores_are_refused() -> None:
    with pytest.raises(InputError, match="ranker scores"):
        reward([1.0, np.inf])
