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


# Name of a line: its value, the number of things that it is over, the paper's number beside it.
WANTED = {
    "recall of mert": (0.5, None, None),
    "sdr_db of separator": (7.5, None, None),
    "kept of codec": (0.8, N_PROMPTS, None),  # between floor and ceiling
    "clap_real of codec": (0.5, N_PROMPTS, None),
    "clap_noise of codec": (0.05, N_PROMPTS, None),
    "r2_round_trip of oracle": (0.4, None, None),
    "accuracy_mix of oracle on voices": (0.7, None, None),
    "accuracy_overall of ranker": (0.71, 500, "hyper.ranker.accuracy"),
    "expected_calibration_error of ranker": (0.02, 500, "hyper.ranker.ece"),
    "bayes_ceiling of ranker": (0.8, 500, None),
    "accuracy of ranker on AIME": (0.65, 120, None),
    "accuracy of reliability bin 0": (0.55, 30, None),
    "reward_p5 of train clips": (-0.9, N, "text.reward_p5"),
    "reward_p95 of train clips": (0.9, N, "text.reward_p95"),
    "reward_max of train clips": (1.0, N, "text.reward_max"),
    "reward_mean of reference clips": (6.0, 3, None),
    "gain of train clips with voice": (0.25, (N + 1) // 2, None),  # over sung ones
}


def test_each_part_shows_its_own_figures_in_their_units_beside_the_papers(monkeypatch):
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
    result = tabulate(study)
    found = {name: result[name] for name in WANTED}
    values = {name: line.value for name, line in found.items()}
    assert values == pytest.approx({name: value for name, (value, _, _) in WANTED.items()})
    for name, (_, n, key) in WANTED.items():
        assert (found[name].n, found[name].paper) == (n, key and paper_value(key)), name
    assert [found[name].unit for name in ("recall of mert", "sdr_db of separator")] == ["1", "dB"]
    assert not result.find("unknown of mert")
