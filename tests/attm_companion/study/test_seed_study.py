import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from attm_companion.study import seed_study
from attm_companion.study.condition_scores import Scores
from attm_companion.study.open_questions import best_of, crossing, guidance, rounds, unet
from attm_companion.study.open_stages import BestOfStage, picked
from attm_companion.study.seed_study import GRID, V2, Reading, primary, secondary, select
from attm_companion.study.stage import ancestry
from attm_companion.study.study import Study

READING, PLAIN = Reading(2.0, 4.0, post=False), Reading(1.0, 1.0, post=False)
TRAINED = {"sft", "expert", "crpo", "condition"}


@pytest.fixture(scope="module")
def study() -> Study:
    return Study("smoke", 1)


@pytest.fixture(scope="module")
def rows(study):
    return primary(study, READING)


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


def test_what_the_study_of_seeds_has_made_is_not_made_again(study: Study) -> None:
    made = {name: stage.uid for name, stage in primary(study, PLAIN).items()}
    guided = guidance(study, PLAIN)
    assert guided["w=1, w_score=1"].uid == made["v1"]
    assert guided["w=4, w_score=4"].protocol.config.w_score is None, "the joint guidance"
    config = guided["w=4, w_score=1"].protocol.config
    assert (config.w, config.w_score, config.s) == (4.0, 1.0, 1.0)
    crossed = crossing(study, PLAIN)
    last = study.profile.sft.n_steps
    names = {"v1": "v1", "v1 crossed": "v1_v2", "v2": "v2", "v2 crossed": "v2_v1"}
    for ours, theirs in names.items():
        assert crossed[f"{ours} after {last}"].uid == made[theirs]
    assert rounds(study, PLAIN)["round 1"].uid == made["experts"]
    assert unet(study, PLAIN)["v1.high"].uid == made["v1.high"]
    assert unet(study, PLAIN, V2)["v2.low"].uid == made["v2.low"]


def test_a_round_starts_from_the_one_before_with_draws_of_its_own(study: Study) -> None:
    one, two, three = (rounds(study, PLAIN)[f"round {k}"].weights for k in (1, 2, 3))
    assert (two.start.uid, three.start.uid) == (one.uid, two.uid)
    assert len({one.seed, two.seed, three.seed}) == 3
    assert one.config == two.config == three.config
    assert type(three).model_validate_json(three.model_dump_json()).uid == three.uid


def test_stages_travel_to_workers_as_they_are(study: Study) -> None:
    for stage in (*best_of(study, PLAIN).values(), *unet(study, PLAIN).values()):
        assert pickle.loads(pickle.dumps(stage)).uid == stage.uid


def scores(values: list[float]) -> Scores:
    column = np.array(values)
    return Scores(column, 10 * column, np.stack([column, column], axis=1), column * np.nan)


def test_the_best_of_n_by_hand(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [scores([1.0, 2.0]), scores([3.0, 4.0]), scores([5.0, 6.0])]
    chosen = picked(drawn, np.array([2, 0]))
    assert list(chosen.reward) == [50.0, 20.0]
    assert chosen.embeddings.tolist() == [[5.0, 5.0], [2.0, 2.0]]
    assert chosen.utility is None
    stage = best_of(study, PLAIN)["best_of"]
    assert isinstance(stage, BestOfStage)
    assert stage.n == 2
    # Reward and CLAP of three draws of two prompts: the blend takes draw 1, then draws 2 and 1.
    reward = np.array([[0.0, 0.0], [1.0, 3.0], [4.0, 0.0]])
    monkeypatch.setattr(BestOfStage, "judged", lambda self: np.stack([reward, 0 * reward]))
    three = BestOfStage.model_validate({**dict(stage), "n": 3})
    found = {n: best.tolist() for n, best in three.best().items()}
    assert found == {1: [0, 0], 2: [1, 1], 3: [2, 1]}
