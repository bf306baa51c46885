from itertools import product

import numpy as np
import pytest
from studies import Asked, KnownStudy, noise, scores

from attm_companion.paper_numbers import paper_value
from attm_companion.study.profile import load_profile
from attm_companion.tables.score_sweep import conditions, tabulate

SWEEP = load_profile("smoke").sweep
M = ("reward", "fad")


HYBRID = {1.0: 0.01, 5.0: 0.04}  # its reward at some scores; 0 elsewhere


def draw(asked: Asked):
    """SFT: reward √s inside, falling from s = 3 on. Hybrid: flat but for two bumps."""
    prompts = noise("prompts", 1.5)
    if asked.stage == "sft":
        level = asked.s**0.5 if 0 <= asked.s <= 3 else -asked.s
        return scores(reward=prompts + level, shift=1.0 + max(asked.s, 0.0) / 2)
    return scores(reward=prompts + HYBRID.get(asked.s, 0.0), shift=1.0)


@pytest.fixture(scope="module")
def result():
    return tabulate(KnownStudy(draw))


def test_curves_are_those_of_the_figure_and_one_for_each_bandwidth():
    cells = conditions(KnownStudy(draw))
    assert list(cells) == ["sft", "hybrid", *(f"bandwidth {b:g}" for b in SWEEP.bandwidths)]
    assert tuple(cells["sft"]) == tuple(cells["hybrid"]) == SWEEP.scores
    (bandwidth,) = SWEEP.bandwidths
    for s, cell in cells[f"bandwidth {bandwidth:g}"].items():
        assert cell.s == s
        assert cell.weights.backbone.score_bandwidth == bandwidth
    deployed = cells["hybrid"][5.0]
    assert (deployed.stage, deployed.forward) == ("crpo", "input_add")


def test_correlations_are_those_of_the_means_over_the_training_and_the_deployed_range(result):
    rho = result["rho of sft"]
    assert (rho.value, rho.paper) == (pytest.approx(1.0), paper_value("fig2.sft_rho"))
    assert rho.n == len([s for s in SWEEP.scores if 0 <= s <= 2])
    deployed = [s for s in SWEEP.scores if 0 <= s <= 6]
    bump = [HYBRID.get(s, 0.0) for s in deployed]
    value = result["r of hybrid"]
    assert value.value == pytest.approx(np.corrcoef(deployed, bump)[0, 1])
    assert value.low < value.value < value.high
    assert (value.n, value.paper) == (len(deployed), paper_value("fig2.hybrid_r"))
    assert result["r of sft"].paper is None
    assert result.find("reward of bandwidth 1 at s=2")
    assert not result.find("fad_range of bandwidth 1")


def test_ranges_and_lift(result):
    ranges = {(row, m): result[f"{m}_range of {row}"] for row, m in product(("hybrid", "sft"), M)}
    values = [0.04, 0.0, 2**0.5 + 6.0, 4.0**2 - 1.0]
    assert [line.value for line in ranges.values()] == pytest.approx(values, abs=1e-9)
    keys = ("reward_range_text", "fad_range")
    papers = [paper_value(f"fig2.hybrid_{key}") for key in keys]
    assert [ranges["hybrid", m].paper for m in M] == papers
    lift = result["reward of sft at s=2 against s=0"]  # scores that are fixed beforehand
    assert lift.value == pytest.approx(2**0.5)
    assert lift.low == pytest.approx(lift.high)
    assert lift.paper == pytest.approx(0.47 - 0.16)
    assert result["reward of hybrid at s=5 against s=0"].paper is None
