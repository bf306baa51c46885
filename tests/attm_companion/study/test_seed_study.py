from types import SimpleNamespace

import numpy as np
import pytest

from attm_companion.study import seed_study
from attm_companion.study.seed_study import GRID, Reading, primary, secondary, select
from attm_companion.study.stage import ancestry
from attm_companion.study.study import Study

READING = Reading(2.0, 4.0, post=False)
TRAINED = {"sft", "expert", "crpo", "condition"}


@pytest.fixture(scope="module")
def rows():
    return primary(Study("smoke", 1), READING)


def test_seeds_share_the_frozen_parts_and_nothing_else(rows):
    other = primary(Study("smoke", 2), READING)
    first, second = (
        {stage.uid for stage in ancestry(list(some.values()))} for some in (rows, other)
    )
    assert {uid.partition("-")[0] for uid in first ^ second} == TRAINED
    assert not {uid.partition("-")[0] for uid in first & second} & TRAINED


def test_the_arms_of_stage_2_differ_by_what_they_keep_alone(rows):
    experts, control, random = (rows[name].weights for name in ("experts", "control", "random_64"))
    assert experts.start.uid == control.start.uid == random.start.uid
    assert [arm.config.keep for arm in (experts, control, random)] == ["top", "none", "random"]
    assert random.config.n_keep == random.config.n_samples == experts.config.n_keep
    for part in ("finetune", "polish", "oversample", "s"):
        assert len({repr(getattr(a.config, part)) for a in (experts, control, random)}) == 1


def test_conditions_are_read_as_selected(rows):
    config = rows["v1"].protocol.config
    assert (config.s, config.w, config.n_passes, config.target_lufs) == (2.0, 4.0, 0, None)
    assert rows["baseline"].protocol.config.s is None
    assert rows["v1.high"].protocol.config.s - rows["v1.low"].protocol.config.s == 2.0
    assert rows["v1_v2"].forward == rows["experts_v2"].forward == rows["crpo"].forward
    published = secondary(Study("smoke", 1), READING)["published.v1"].protocol.config
    assert (published.s, published.n_passes) == (5.0, 3)


def test_the_rule_takes_the_lowest_distance(monkeypatch):
    rng = np.random.default_rng(0)
    near = {reading: rng.normal(size=(30, 3)) + 1.0 for reading in GRID}
    near[GRID[5]] = near[GRID[5]] - 1.0
    stages = {
        reading: SimpleNamespace(scores=lambda points=points: SimpleNamespace(embeddings=points))
        for reading, points in near.items()
    }
    monkeypatch.setattr(seed_study, "selection", lambda study: stages)
    study = SimpleNamespace(reference=lambda p: rng.normal(size=(99, 3)), validation=None)
    assert select(study) == GRID[5]
