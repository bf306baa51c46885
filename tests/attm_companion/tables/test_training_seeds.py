import re
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from attm_companion.book import seed_views
from attm_companion.study.condition_scores import Scores
from attm_companion.study.open_stages import Heard
from attm_companion.study.results import Result
from attm_companion.tables import training_seeds
from attm_companion.tables.training_seeds import MECHANISMS, PAIRS, by_seed, conclude, contrast_of
from attm_core.errors import ResultError
from attm_core.evaluation.statistics import holm

N = 20
ROWS = sorted({row for pair in PAIRS for row in pair} - {"experts.sampling", "experts.null"})
# Reward of a condition beyond that of the baseline, the same for all seeds but for its own noise.
LEVEL = {"v1": 0.5, "experts": 0.5, "control": 0.9, "v1_v2": 0.1, "v1.high": 1.0, "v1.low": 0.2}


def condition(seed, row, noise, level):
    rng = np.random.default_rng([seed, ROWS.index(row)])
    prompts = np.random.default_rng(0).normal(size=N)
    reward = prompts + level + noise * rng.normal()
    shift = 0.2 if row == "experts" else 0.0
    points = rng.normal(size=(N, 4)) + shift
    return Scores(0.3 + 0 * prompts, reward, points, np.full(N, np.nan))


def world(seeds=8, noise=0.01, **levels):
    """A table of seeds whose conditions have these Rewards beyond that of the baseline."""
    scored = {
        seed: {row: condition(seed, row, noise, levels.get(row, 0.0)) for row in ROWS}
        for seed in range(1, seeds + 1)
    }
    protocol = SimpleNamespace(config=SimpleNamespace(s=2.0), seed=42)
    stages = {
        seed: {row: Heard(scores, protocol, None) for row, scores in rows.items()}
        for seed, rows in scored.items()
    }
    result = Result("training_seeds", "smoke", provenance={"by": "test"})
    reference = np.random.default_rng(1).normal(size=(60, 4))
    training_seeds.add_conditions(result, stages, lambda protocol: reference)
    training_seeds.add_contrasts(result, scored)
    return result


@pytest.fixture(scope="module")
def result():
    return world(**LEVEL)


def test_contrasts_by_hand(result):
    contrast = contrast_of(by_seed(result), "experts", "control", "reward")
    assert list(contrast.index) == list(range(1, 9))
    first = result["reward of experts trained with 1"], result["reward of control trained with 1"]
    assert contrast.iloc[0] == pytest.approx(first[0].value - first[1].value)
    line = result["reward of experts against control"]
    assert line.value == pytest.approx(contrast.mean())
    half = 2.364624 * contrast.std() / 8**0.5
    assert (line.low, line.high) == pytest.approx((line.value - half, line.value + half))
    assert (line.over, line.n, line.verdict) == ("training seeds", 8, "opposite")
    new_prompts = result["reward_new_prompts of experts against control"]
    assert new_prompts.value == pytest.approx(line.value)
    assert (new_prompts.over, new_prompts.n) == ("training seeds and prompts", 8 * N)


def test_verdicts_of_a_world_whose_truth_is_known(result):
    said = conclude(result)["verdict"]
    assert said["score knob of v1 (Δ_out)"] == "shows"
    assert said["score conditioning lifts Reward"] == "shows"
    assert said["score conditioning lifts CLAP"] == "equivalent"
    assert said["expert iteration lifts Reward"] == "equivalent"
    assert said["it is the experts that lift Reward"] == "opposite"
    assert said["v1 → v2 costs no Reward (Stage 1)"] == "opposite"
    assert said["v1 → v2 costs no Reward (Stage 2)"] == "opposite"
    assert said["CRPO changes no Reward"] == "equivalent"
    assert set(said[len(MECHANISMS) :]) == {""}


def test_p_values_are_adjusted_for_the_family_alone(result):
    family = conclude(result).iloc[: len(MECHANISMS)]
    raw, seeds = [], by_seed(result)
    for mechanism in MECHANISMS:
        x = contrast_of(seeds, mechanism.row, mechanism.against, mechanism.metric)
        raw.append(0.0 if np.ptp(x) == 0 else stats.ttest_1samp(x, 0).pvalue)
    raw = [1.0 if m.metric == "clap" else p for m, p in zip(MECHANISMS, raw, strict=True)]
    assert list(family["p"]) == pytest.approx(holm(raw))


def test_noise_makes_verdicts_undecided_and_says_how_many_seeds_they_take():
    noisy = conclude(world(4, noise=1.0, **LEVEL))
    line = noisy.loc["CRPO changes no Reward"]
    assert line["verdict"] == "undecided"
    assert line["seeds_needed"] > 100
    assert line["detectable"] > 0.5
    with pytest.raises(ResultError, match="fewer than two training seeds"):
        world(seeds=1)


def test_halves_are_the_first_and_the_last_seeds(result):
    found = training_seeds.halves(result)
    assert found.loc["score conditioning lifts Reward", "agree"]
    assert list(found["second half"]) == list(conclude(result, [5, 6, 7, 8])["verdict"][:15])
    assert list(conclude(result, [1, 2, 3, 4])["seeds"].unique()) == [4]


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ({"experts": 0.9, "random_64": 0.5, "control": 0.1}, ("samples do it", "adds +")),
        ({"experts": 0.5, "random_64": 0.5}, ("samples do it", "less than the margin")),
        ({"experts": 0.5, "random_64": 0.9, "control": 0.5}, ("does as well", "takes −")),
        ({"control": 0.9}, ("does better", "less than the margin")),
        ({"noise": 1.0}, ("cannot tell", "nor seen not to")),
    ],
)
def test_the_answer_about_experts_follows_the_seeds(levels, said):
    text = str(seed_views.experts_answer(world(**levels)))
    assert all(words in text for words in said), text
    follows = str(seed_views.consequence(world(**levels)))
    assert ("is not seen here" in follows) is ("adds +" not in text)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ({"crpo_x10": 0.5}, "these seeds can see it"),
        ({}, "too short to move the model"),
        ({"noise": 1.0}, "cannot be concluded"),
    ],
)
def test_crpo_is_read_beside_its_positive_control(levels, said):
    assert said in str(seed_views.crpo_sentence(world(**levels)))


def test_verdicts_and_halves_in_words(result):
    text = str(seed_views.verdict_answer(result))
    assert "Over 8 training seeds" in text
    assert re.search(r"\(Stage 1\) \(opposite: −0\.\d+ \[−", text), text
    halves_ = str(seed_views.halves_sentence(result))
    assert "(seeds 1, 2, 3, 4)" in halves_ and "(5, 6, 7, 8)" in halves_
    assert "fewer than four" in str(seed_views.halves_sentence(world(seeds=2)))
    assert "have not been run" in str(seed_views.label_sentence(result))
    parts = seed_views.step_table(result)["Reward"].str.split(" ").str[0].astype(float)
    assert parts.iloc[:3].sum() == pytest.approx(parts.iloc[3], abs=0.002)
