from dataclasses import replace

import numpy as np
import pytest
from studies import N_PROMPTS, cloud, noise, scores

from attm_companion.study import condition_scores


def test_fad_of_a_shifted_copy_is_the_squared_shift():
    interval = condition_scores.fad_interval(cloud(1.5), cloud(0.0))
    assert interval.estimate == pytest.approx(1.5**2)
    assert interval.low < 1.5**2 < interval.high
    same = condition_scores.fad_interval(cloud(0.0), cloud(0.0))
    assert same.estimate == pytest.approx(0.0, abs=1e-6)

    first, again = (condition_scores.fad_interval(cloud(1.0), cloud(0.0), seed=3) for _ in range(2))
    other = condition_scores.fad_interval(cloud(1.0), cloud(0.0), seed=4)
    assert first == again
    assert other.estimate == first.estimate
    assert (other.low, other.high) != (first.low, first.high)


def test_scores_survive_a_file_and_what_was_not_measured_is_no_column(tmp_path):
    drawn = replace(scores(noise("a"), vocals_db=np.nan), ccs=np.full(N_PROMPTS, 0.5))
    loaded = condition_scores.Scores.load(drawn.save(tmp_path / "scores.npz"))
    assert len(loaded) == N_PROMPTS
    for name, values in vars(drawn).items():
        np.testing.assert_array_equal(getattr(loaded, name), values)
    assert list(loaded.per_prompt) == ["clap", "reward", "ccs"]
    row = condition_scores.intervals(loaded, cloud(0.0, "reference"))
    assert row["ccs"].low == row["ccs"].estimate == row["ccs"].high == 0.5
    # t(59) at 97.5 % is 2.001; the noise's deviation of 1 is √(60/59) without bias.
    half = 2.000995 * np.sqrt(60 / 59) / np.sqrt(60)
    assert row["clap"].high - row["clap"].estimate == pytest.approx(half, rel=1e-5)
