from itertools import product

import pytest
from studies import Asked, KnownStudy, assert_paper_beside, noise, scores

from attm_companion.paper_numbers import load_paper
from attm_companion.tables.cross_mechanism import conditions, tabulate

VERSION = {"global_adaln": "v1", "input_add": "v2"}


def draw(asked: Asked):
    """Chain ends tie with Sub. 1 but for one worse and one better cell; crossings cost FAD."""
    own, forward = VERSION[asked.head], VERSION[asked.forward]
    cell = f"{asked.stage}.{own}_{forward}"
    drift = {"sft.v2_v1": -0.5, "sft.v2_v2": 0.3}.get(cell, 0.0)
    sub1 = asked.stage == "crpo" and own == "v1" and asked.protocol.seed == 42
    wiggle = 0.0 if sub1 else noise(cell + str(asked.protocol.seed), 0.1)
    reward = noise("prompts", 2.0) + drift + wiggle
    shift = 1.0 if own == forward else 2.0
    return scores(clap=0.3 + 0.1 * reward, reward=reward, shift=shift)


@pytest.fixture(scope="module")
def result():
    return tabulate(KnownStudy(draw))


def test_cells_are_the_factorial_and_the_submissions():
    cells = conditions(KnownStudy(draw))
    extra, sub1, sub2 = (cells.pop(name) for name in ("chain.v2_v2_crpo", "sub1", "sub2"))
    kinds = {"sft": "sft", "expert": "chain"}
    named = [f"{kinds[a.stage]}.{VERSION[a.head]}_{VERSION[a.forward]}" for a in cells.values()]
    assert (named, len(set(named))) == (list(cells), 8)
    assert (extra.stage, extra.head, extra.forward) == ("crpo", "input_add", "input_add")
    assert sub1.weights.uid == sub2.weights.uid
    assert (sub1.head, sub1.forward, sub1.protocol.seed) == ("global_adaln", "input_add", 42)
    assert sub2.protocol == sub1.protocol.changed(seed=55)


def test_ties_are_marked_and_differences_have_a_direction(result):
    ties = result.frame.query("against == 'sub1' and metric == 'reward'").set_index("row")
    verdicts = ties["verdict"].to_dict()
    assert verdicts.pop("sft.v2_v1") == "lower"
    assert verdicts.pop("sft.v2_v2") == "higher"
    assert set(verdicts.values()) == {"tied"}
    assert len(verdicts) == 7
    assert result["reward of sft.v2_v1 against sub1"].value == pytest.approx(-0.5)
    assert result["reward of sft.v2_v1 against sub1"].p < 0.001
    assert result["reward of chain.v1_v1 against sub1"].p >= 0.05
    # CLAP follows the reward at a tenth of its size; the test looks at prompts, not at size.
    small = result["clap of sft.v2_v2 against sub1"]
    assert (small.value, small.verdict) == (pytest.approx(0.03), "higher")


def test_every_number_of_table_3_stands_beside_ours(result):
    for start in ("sft", "chain", "sub1"):
        assert_paper_beside(result, "table3", start)
    assert result["fad of chain.v2_v2_crpo"].paper is None
    seeds = {name: result[f"fad of {name}"].generation_seed for name in ("sub1", "sub2")}
    assert seeds == {"sub1": 42, "sub2": 55}
    assert result["fad of sub2"].paper == load_paper()["table3.sub2.fad"]


def test_what_a_crossing_costs_against_the_native_cell_of_its_weights(result):
    for stage, weights, metric in product(("sft", "chain"), ("v1", "v2"), ("fad", "reward")):
        other = {"v1": "v2", "v2": "v1"}[weights]
        cross, native = (f"{stage}.{weights}_{end}" for end in (other, weights))
        crossing = result[f"{metric} of {cross} against {native}"]
        crossed, before = (result[f"{metric} of {cell}"] for cell in (cross, native))
        assert crossing.value == pytest.approx(crossed.value - before.value)
        assert crossing.paper == pytest.approx(crossed.paper - before.paper)
        assert crossing.low <= crossing.value <= crossing.high
        assert metric != "fad" or crossing.value == pytest.approx(4.0 - 1.0)
