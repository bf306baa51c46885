import numpy as np
import pandas as pd
import pytest
from studies import N_PROMPTS, KnownStudy, noise, scores

from attm_companion.paper_numbers import paper_value
from attm_companion.study.frozen import QUALITY, CorpusStage
from attm_companion.study.ranking import RankerStage
from attm_companion.tables.frozen_parts import conditions, tabulate
from attm_core.files import write_json

N = 201  # training clips, so that quantiles fall on whole places
REPORT = {
    "accuracy_overall": 0.71,
    "expected_calibration_error": 0.02,
    "bayes_ceiling": 0.8,
    "epochs": 12,
    "n_total": 500,
    "by_source": {"AIME": {"accuracy": 0.65, "n": 120}},
    "bins": [{"bin": 0, "low": 0.5, "accuracy": 0.55, "n": 30}],
}

ORACLE = {"mix": {"r2": {"quality": 0.5}, "accuracy": {"piano": 0.9, "voices": 0.7}}}
ORACLE |= {"round_trip": {"r2": {"quality": 0.4}, "accuracy": {"piano": 0.8}}}


class Store:
    table = pd.DataFrame(
        {
            "split": ["train"] * N + ["reference"] * 3,
            "has_voice": [place % 2 == 0 for place in range(N)] + [True] * 3,
        }
    )


def rewards(stage) -> pd.DataFrame:
    stem = np.append(np.linspace(-1.0, 1.0, N), [5.0, 6.0, 7.0])
    gain = np.where(Store.table["has_voice"], 0.25, 0.0)
    return pd.DataFrame({"instrumental_reward_score": stem, "reward_score": stem + gain})


@pytest.fixture
def result(monkeypatch):
    study = KnownStudy(lambda asked: scores())
    study.anchor_scores = {
        "real": scores(clap=0.5 + noise("real", 0.1)),
        "round_trip": scores(clap=0.4),
        "noise": scores(clap=0.05),
    }
    monkeypatch.setattr(CorpusStage, "store", lambda stage: Store)
    monkeypatch.setattr(RankerStage, "rewards", rewards)
    known = {"separator": {"sdr_db": 7.5}, "ranker": REPORT, "oracle": ORACLE}
    parts = ("conditioning_clap", "evaluation_clap", "mert", "separator", "ranker", "oracle")
    for name in parts:
        stage = conditions(study)[name]
        write_json(stage.folder / QUALITY, known.get(name, {"recall": 0.5, "unknown": None}))
        stage.seal()
    return tabulate(study)


def test_each_part_shows_its_own_figures_in_their_units(result):
    assert result["recall of mert"].value == 0.5
    assert result["recall of mert"].unit == "1"
    assert result["sdr_db of separator"].unit == "dB"
    assert not result.find("unknown of mert")


def test_what_the_codec_keeps_is_between_floor_and_ceiling(result):
    assert result["kept of codec"].value == pytest.approx(0.8)
    assert result["clap_real of codec"].value == pytest.approx(0.5)
    assert result["clap_noise of codec"].value == pytest.approx(0.05)
    assert result["kept of codec"].n == N_PROMPTS


def test_the_oracle_says_how_far_it_can_be_trusted(result):
    assert result["r2_round_trip of oracle"].value == 0.4
    assert result["accuracy_mix of oracle on voices"].value == 0.7


def test_the_ranker_stands_beside_the_papers(result):
    line = result["accuracy_overall of ranker"]
    assert (line.value, line.n, line.paper) == (0.71, 500, paper_value("hyper.ranker.accuracy"))
    ece = result["expected_calibration_error of ranker"]
    assert ece.paper == paper_value("hyper.ranker.ece")
    by_source = result["accuracy of ranker on AIME"]
    assert (by_source.value, by_source.n) == (0.65, 120)
    assert result["bayes_ceiling of ranker"].value == 0.8
    in_bin = result["accuracy of reliability bin 0"]
    assert (in_bin.value, in_bin.n) == (0.55, 30)


def test_rewards_of_the_training_clips_stand_beside_the_papers(result):
    expected = {"p5": -0.9, "p95": 0.9, "max": 1.0}
    for name, value in expected.items():
        cell = result[f"reward_{name} of train clips"]
        assert cell.value == pytest.approx(value)
        assert (cell.paper, cell.n) == (paper_value(f"text.reward_{name}"), N)
    assert result["reward_mean of train clips"].value == pytest.approx(0.0, abs=1e-12)
    assert result["reward_mean of reference clips"].value == pytest.approx(6.0)
    assert result["reward_max of reference clips"].paper is None


def test_the_gain_of_a_voice_is_over_sung_training_clips(result):
    gain = result["gain of train clips with voice"]
    assert gain.value == pytest.approx(0.25)
    assert gain.n == (N + 1) // 2
