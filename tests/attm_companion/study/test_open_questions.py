import pickle

import numpy as np
import pytest

from attm_companion.study.condition_scores import Scores
from attm_companion.study.open_questions import best_of, crossing, guidance, rounds, unet
from attm_companion.study.open_stages import BestOfStage, picked
from attm_companion.study.seed_study import V2, Reading, primary
from attm_companion.study.study import Study

READING = Reading(1.0, 1.0, post=False)


@pytest.fixture(scope="module")
def study() -> Study:
    return Study("smoke", 1)


def test_what_the_study_of_seeds_has_made_is_not_made_again(study: Study) -> None:
    made = {name: stage.uid for name, stage in primary(study, READING).items()}
    guided = guidance(study, READING)
    assert guided["w=1, w_score=1"].uid == made["v1"]
    assert guided["w=4, w_score=4"].protocol.config.w_score is None, "the joint guidance"
    config = guided["w=4, w_score=1"].protocol.config
    assert (config.w, config.w_score, config.s) == (4.0, 1.0, 1.0)
    crossed = crossing(study, READING)
    last = study.profile.sft.n_steps
    names = {"v1": "v1", "v1 crossed": "v1_v2", "v2": "v2", "v2 crossed": "v2_v1"}
    for ours, theirs in names.items():
        assert crossed[f"{ours} after {last}"].uid == made[theirs]
    assert rounds(study, READING)["round 1"].uid == made["experts"]
    assert unet(study, READING)["v1.high"].uid == made["v1.high"]
    assert unet(study, READING, V2)["v2.low"].uid == made["v2.low"]


def test_a_round_starts_from_the_one_before_with_draws_of_its_own(study: Study) -> None:
    one, two, three = (rounds(study, READING)[f"round {k}"].weights for k in (1, 2, 3))
    assert (two.start.uid, three.start.uid) == (one.uid, two.uid)
    assert len({one.seed, two.seed, three.seed}) == 3
    assert one.config == two.config == three.config
    assert type(three).model_validate_json(three.model_dump_json()).uid == three.uid


def test_stages_travel_to_workers_as_they_are(study: Study) -> None:
    for stage in (*best_of(study, READING).values(), *unet(study, READING).values()):
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
    stage = best_of(study, READING)["best_of"]
    assert isinstance(stage, BestOfStage)
    assert stage.n == 2
    # Reward and CLAP of three draws of two prompts: the blend takes draw 1, then draws 2 and 1.
    reward = np.array([[0.0, 0.0], [1.0, 3.0], [4.0, 0.0]])
    monkeypatch.setattr(BestOfStage, "judged", lambda self: np.stack([reward, 0 * reward]))
    three = BestOfStage.model_validate({**dict(stage), "n": 3})
    found = {n: best.tolist() for n, best in three.best().items()}
    assert found == {1: [0, 0], 2: [1, 1], 3: [2, 1]}
