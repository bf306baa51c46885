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
    cells = {name: cell.asked for name, cell in conditions(KnownStudy(draw)).items()}
    assert len(cells) == 11
    for name, asked in cells.items():
        if name.count("_") == 1:
            stage, _, crossing = name.partition(".")
            weights, forward = crossing.split("_")
            assert (VERSION[asked.head], VERSION[asked.forward]) == (weights, forward)
            assert asked.stage == {"sft": "sft", "chain": "expert"}[stage]
    extra, sub1, sub2 = (cells[name] for name in ("chain.v2_v2_crpo", "sub1", "sub2"))
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


def test_a_small_but_certain_difference_is_no_tie(result):
    # CLAP follows the reward at a tenth of its size; the test looks at prompts, not at size.
    assert result["clap of sft.v2_v2 against sub1"].value == pytest.approx(0.03)
    assert result["clap of sft.v2_v2 against sub1"].verdict == "higher"


def test_every_number_of_table_3_stands_beside_ours(result):
    for start in ("sft", "chain", "sub1"):
        assert_paper_beside(result, "table3", start)
    assert result["fad of chain.v2_v2_crpo"].paper is None
    assert result["fad of sub2"].paper == load_paper()["table3.sub2.fad"]
    assert result["fad of sub2"].generation_seed == 55
    assert result["fad of sub1"].generation_seed == 42


def test_what_a_crossing_costs(result):
    paper = load_paper()
    for stage in ("sft", "chain"):
        for weights, other in (("v1", "v2"), ("v2", "v1")):
            value = result[f"fad of {stage}.{weights}_{other} against {stage}.{weights}_{weights}"]
            assert value.value == pytest.approx(4.0 - 1.0)
            printed = (f"table3.{stage}.{weights}_{end}.fad" for end in (other, weights))
            cross, native = (paper[key] for key in printed)
            assert value.paper == pytest.approx(cross - native)


def test_a_crossing_is_paired_with_the_native_cell_of_its_weights(result):
    crossing = result["reward of sft.v2_v1 against sft.v2_v2"]
    native, crossed = (result[f"reward of sft.{cell}"] for cell in ("v2_v2", "v2_v1"))
    assert crossing.value == pytest.approx(crossed.value - native.value)
    assert crossing.paper == pytest.approx(crossed.paper - native.paper)
    assert crossing.low <= crossing.value <= crossing.high
