import math

import numpy as np
import pandas as pd
import pytest

from attm_companion.world import listeners
from attm_core.errors import ConfigError, InputError

TABLE = pd.DataFrame(
    {
        "quality": [0.2, 0.4, 0.9],
        "has_voice": [True, False, True],
        "voice_level": [0.0, float("nan"), -20.0],
        "tags": "slow",
        "caption": "music",
        "piece_id": ["x", "y", "z"],
        "split": "train",
    }
)
POOL = np.array([0, 1])
FIT = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])


def test_scores_are_standard_over_the_pool_and_a_voice_is_an_amplitude():
    worth = listeners.clip_worth(TABLE, FIT, POOL)
    assert worth.quality.tolist() == pytest.approx([-1.0, 1.0, 6.0])  # mean 0.3, deviation 0.1
    assert worth.fit[0].tolist() == pytest.approx([1.0, -1.0, 0.0])  # mean and deviation 0.5
    assert worth.voice.tolist() == pytest.approx([1.0, 0.0, 0.1])  # 0 where nobody sings


def test_utility_by_hand_and_stems_have_no_voice():
    worth = listeners.clip_worth(TABLE, FIT, POOL)
    items = listeners.Items(np.array([0, 0]), np.array([True, False]), np.array([0, 1]))
    config = listeners.ListenerConfig(quality_weight=2.0, fit_weight=3.0)
    assert worth.common(items, config, sees_prompt=True).tolist() == pytest.approx([1.0, -5.0])
    assert worth.common(items, config, sees_prompt=False).tolist() == pytest.approx([-2.0, -2.0])
    assert worth.heard_voice(items).tolist() == [1.0, 0.0]


def test_ties_are_likeliest_between_equals_and_sides_are_exchangeable():
    advantage = np.linspace(-3, 3, 7)
    p_a, p_b = listeners.vote_probabilities(advantage, 0.0)  # Bradley-Terry without a threshold
    assert np.allclose(p_a + p_b, 1.0)
    assert p_a[-1] == pytest.approx(1 / (1 + math.exp(-3)))
    advantage = np.array([-2.0, 0.0, 2.0])
    p_a, p_b = listeners.vote_probabilities(advantage, 0.4)
    tie = 1 - p_a - p_b
    assert (tie > 0).all()
    assert tie.argmax() == 1
    assert np.allclose(p_a, p_b[::-1])


def test_ratings_are_likert_points_that_rise_with_utility():
    utility = np.repeat([-9.0, -1.5, 0.0, 1.5, 9.0], 2000).reshape(5, 2000)
    exact = listeners.rate(utility, np.zeros(utility.shape), 0.0, np.random.default_rng(0))
    assert exact[:, 0].tolist() == [1, 2, 3, 4, 5]
    noisy = listeners.rate(utility, np.zeros(utility.shape), 0.9, np.random.default_rng(0))
    assert set(np.unique(noisy)) == {1, 2, 3, 4, 5}
    assert noisy[2].mean() == pytest.approx(3.0, abs=0.06)


def test_unusable_tables_and_panels_are_refused():
    with pytest.raises(InputError, match="needs a finite voice_level"):
        listeners.clip_worth(TABLE.assign(voice_level=np.nan), FIT, POOL)
    with pytest.raises(InputError, match=r"lacks the columns \['quality'\]"):
        listeners.clip_worth(TABLE.drop(columns="quality"), FIT, POOL)
    with pytest.raises(ConfigError, match="panel of at least 1"):
        listeners.ListenerConfig(n_listeners=0)
