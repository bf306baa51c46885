"""Ratings to pairs: the mean by hand, the gap rule, uniform draws."""

import numpy as np
import pytest

from attm_core.data.preference_ratings import AXES, mean_rating, pairs_apart, synthesize_pairs
from attm_core.errors import InputError


def test_mean_rating_by_hand():
    annotation = [dict(zip(AXES, (1, 2, 3, 4, 5), strict=True)), dict.fromkeys(AXES, 5)]
    assert mean_rating(annotation, "song") == pytest.approx((3 + 5) / 2)


def test_all_qualifying_pairs_and_only_those_can_be_drawn():
    ratings = np.array([1.0, 1.4, 1.5, 3.0])
    pairs = synthesize_pairs(ratings, 4, 0.5, np.random.default_rng(0))
    assert {tuple(sorted(pair)) for pair in pairs.tolist()} == {(0, 2), (0, 3), (1, 3), (2, 3)}
    with pytest.raises(InputError, match=r"5 pairs with a gap of .* asked for, 4 exist among 4"):
        synthesize_pairs(ratings, 5, 0.5, np.random.default_rng(0))


def test_draws_are_uniform_over_pairs_and_over_sides():
    ratings = np.array([1.0, 2.0, 3.0])
    generator = np.random.default_rng(1)
    drawn = [tuple(synthesize_pairs(ratings, 1, 0.5, generator)[0]) for _ in range(3000)]
    counts = {pair: drawn.count(pair) for pair in set(drawn)}
    assert len(counts) == 6
    assert all(abs(count - 500) < 100 for count in counts.values())  # 5 standard deviations


def test_pairs_apart_by_hand():
    assert pairs_apart(np.array([1.0, 1.4, 1.5]), 0.5).tolist() == [[0, 2]]
    assert pairs_apart(np.array([1.0]), 0.5).shape == (0, 2)
