import itertools

import numpy as np
import pytest
from studies import N_PROMPTS, Asked, KnownStudy, assert_paper_beside, noise, scores

from attm_companion.paper_numbers import load_paper
from attm_companion.study.profile import load_profile
from attm_companion.tables.cumulative import ROWS, conditions, tabulate

SEEDS = load_profile("smoke").generation.seeds
GAIN = 0.4  # of the reward by expert iteration, and nowhere else


def row_of(asked: Asked) -> str:
    if asked.stage == "sft":
        return "row0" if asked.head == "none" else "row1"
    if asked.stage == "crpo":
        return "row4"
    return "row2" if asked.forward == asked.head else "row3"


def draw(asked: Asked):
    """Prompts differ a lot, rows hardly; only expert iteration raises the reward."""
    row, seed = row_of(asked), asked.protocol.seed
    prompts = noise("prompts", 2.0)
    gain = GAIN if row in ("row2", "row3", "row4") else 0.0
    reward = prompts + gain + noise(f"{row}-{seed}", 0.05)
    clap = 0.3 + noise(f"clap-{seed}", 0.1)
    if row == "row4":
        clap = clap - 0.05  # a step that lowers CLAP is no improvement, however sure
    return scores(clap=clap, reward=reward, shift=5.0 - ROWS.index(row))


@pytest.fixture(scope="module")
def result():
    return tabulate(KnownStudy(draw))


def test_rows_are_the_deployed_chain_under_every_seed():
    cells = conditions(KnownStudy(draw))
    for row, by_seed in cells.items():
        assert tuple(by_seed) == SEEDS
        for seed, cell in by_seed.items():
            assert (row_of(cell), cell.protocol.seed) == (row, seed)
            assert (cell.s is None) == (row == "row0")
            assert cell.protocol.config.n_passes == 3
    row2, row3, row4 = (cells[row][42] for row in ROWS[2:])
    assert row2.weights.uid == row3.weights.uid == row4.weights.start.uid
    assert (row2.forward, row3.forward) == ("global_adaln", "input_add")


def test_the_dagger_stands_at_the_step_that_helps_and_nowhere_else(result):
    marks = {
        (after, metric): result[f"{metric} of {after} against {before}"].verdict
        for before, after in itertools.pairwise(ROWS)
        for metric in ("clap", "reward")
    }
    assert [key for key, mark in marks.items() if mark == "†"] == [("row2", "reward")]
    assert result["reward of row2 against row1"].p < 1e-10
    loss = result["clap of row4 against row3"]
    assert loss.p == pytest.approx(1.0)
    assert loss.test == "paired t, greater"
    assert loss.verdict == "significantly lower"  # a sure loss is not called "not significant"


def test_a_gain_has_its_size_and_interval(result):
    assert result["clap of row4 against row3"].value == pytest.approx(-0.05)
    step, over_all = (result[f"reward of row2 against row1{o}"] for o in ("", " over all seeds"))
    gains = [GAIN + noise(f"row2-{s}", 0.05) - noise(f"row1-{s}", 0.05) for s in SEEDS]
    for line, gain in ((step, gains[0]), (over_all, np.mean(gains, axis=0))):  # by prompt
        assert (line.value, line.n) == (pytest.approx(GAIN), N_PROMPTS)
        assert line.over == "prompts"
        half = 2.000995 * gain.std(ddof=1) / np.sqrt(N_PROMPTS)
        assert line.high - line.value == pytest.approx(half, rel=1e-5)


def test_every_number_of_table_2_stands_beside_ours(result):
    assert_paper_beside(result, "table2", "row")
    paper = load_paper()
    for metric in ("fad", "clap", "reward"):
        assert result[f"{metric} of row4 with seed 55"].paper == paper[f"table2.sub2.{metric}"]
        assert result[f"{metric} of row1 with seed 55"].paper is None
    fads = [result[f"fad of {row}"].value for row in ROWS]
    assert fads == pytest.approx([25.0, 16.0, 9.0, 4.0, 1.0])
