from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from attm_companion.study.condition_scores import Scores
from attm_companion.tables.failures import chosen_by_rule, kept_clips
from attm_core.errors import InputError

CLIPS = pd.DataFrame({
    "condition": list("aabbc"), "prompt": [0, 1, 0, 1, 0],
    "reward": [0.0, 2.0, -3.0, 0.5, -1.0],
    "clap": [0.3, 0.0, 0.4, 0.6, -0.2],
    "level_dbfs": [-20.0, -21.0, -19.0, -60.0, -20.0],
    "clipped": [0.0, 0.0, 0.0, 0.0, 0.1],
})  # fmt: skip


def test_each_rule_finds_its_clip():
    chosen = chosen_by_rule(CLIPS, seed=3)
    drawn = [chosen.pop(f"drawn at random ({k})") for k in (1, 2)]
    assert chosen == {
        "Reward high, CLAP low": 1, "CLAP high, Reward low": 2, "lowest Reward": 2,
        "lowest CLAP": 4, "quietest": 3, "most clipped": 4,
    }  # fmt: skip
    assert len(set(drawn)) == 2
    again = chosen_by_rule(CLIPS, seed=3)
    assert [again[f"drawn at random ({k})"] for k in (1, 2)] == drawn
    assert len({chosen_by_rule(CLIPS, seed)["drawn at random (1)"] for seed in range(20)}) > 2


def test_a_rule_without_its_measurement_is_left_out():
    assert "quietest" not in chosen_by_rule(CLIPS.drop(columns="level_dbfs"), 0)
    assert "most clipped" not in chosen_by_rule(CLIPS.assign(clipped=0.0), 0)
    with pytest.raises(InputError, match="too few"):
        chosen_by_rule(CLIPS[:1], 0)


def test_only_kept_clips_are_candidates():
    scores = Scores(np.arange(4.0), -np.arange(4.0), np.zeros((4, 2)), np.full(4, np.nan))
    stage = SimpleNamespace(protocol=SimpleNamespace(n_listening=2), scores=lambda: scores)
    clips = kept_clips({"one": stage, "two": stage})
    assert clips.to_dict("list") == {
        "condition": ["one", "one", "two", "two"], "prompt": [0, 1, 0, 1],
        "clap": [0.0, 1.0, 0.0, 1.0], "reward": [0.0, -1.0, 0.0, -1.0],
    }  # fmt: skip
