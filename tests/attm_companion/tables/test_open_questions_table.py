from itertools import product

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from studies import KnownStudy

from attm_companion.book import open_views
from attm_companion.book.tables import HtmlView
from attm_companion.study.condition_scores import Scores
from attm_companion.study.open_stages import KINDS, VERSIONS, Heard
from attm_companion.study.result_files import ROOT, write_result
from attm_companion.study.results import Result
from attm_companion.study.seed_study import GRID
from attm_companion.study.study import Study
from attm_companion.tables import selection
from attm_companion.tables.open_questions import EXPERIMENT, _add_contrasts, pairs
from attm_companion.tables.training_seeds import add_conditions
from attm_core.randomness import numpy_generator

N = 12
GAIN = {"best of 7": 0.5, "experts": 0.3, "round 1": 0.3, "round 3": 0.1, "unet.high": 1.0}
ROWS = [f"best of {n}" for n in (1, 2, 4, 7)] + ["experts", "v1"]
ROWS += [f"round {n}" for n in (1, 2, 3)]
ROWS += [f"w={w}, w_score={k}" for w, k in product((1, 2, 4), repeat=2)]
ROWS += [f"{v}{how} after {n}" for v, how, n in product(("v1", "v2"), ("", " crossed"), (5, 20))]
ROWS += [f"{v}.{end}" for v in ("v1", "v2", "unet", "unet_v2") for end in ("low", "high")]


def scores(seed: int, row: str) -> Scores:
    prompts = numpy_generator(0, "prompts").normal(size=N)
    reward = prompts + GAIN.get(row, 0.0) + 0.01 * numpy_generator(seed, row).normal(size=N)
    points = numpy_generator(seed, row, "points").normal(size=(N, 3))
    return Scores(0.1 * reward, reward, points, reward * np.nan, quality=reward, utility=2 * reward)


@pytest.fixture(scope="module")
def result() -> Result:
    study = Study("smoke", 1)
    found = {
        seed: {row: Heard(scores(seed, row), study.evaluation, study.baseline()) for row in ROWS}
        for seed in (1, 2)
    }
    table = Result(EXPERIMENT, "mini", provenance={"by": "test"})
    reference = numpy_generator(0, "reference").normal(size=(30, 3))
    add_conditions(table, found, lambda protocol: reference)
    _add_contrasts(table, {k: {r: h.scores() for r, h in own.items()} for k, own in found.items()})
    for kind in KINDS:
        for version in VERSIONS:
            table.add(f"{kind} {version}", "reward", 0.5, "reward", low=0.4, high=0.6)
    return table


def test_differences_are_means_over_seeds_and_prompts(result: Result) -> None:
    line = result["reward of best of 7 against best of 1"]
    by_hand = [scores(k, "best of 7").reward - scores(k, "best of 1").reward for k in (1, 2)]
    assert line.value == pytest.approx(np.mean(by_hand))
    assert line.low < line.value < line.high
    assert (line.n, line.training_seed) == (2 * N, None)
    assert result["utility of experts against best of 7"].value == pytest.approx(-0.4, abs=0.05)
    fads = [result[f"fad of {row} trained with 1"].value for row in ("experts", "best of 1")]
    assert np.isfinite(fads).all()
    assert result["fad of experts against best of 1"].low is None


def test_only_rows_that_are_there_are_compared() -> None:
    assert pairs(["v1", "round 1"]) == [("round 1", "v1")]
    assert pairs(["experts", "v1 crossed after 5"]) == []
    assert ("round 3", "round 2") in pairs(ROWS)
    assert ("v2 crossed after 20", "v2 after 20") in pairs(ROWS)


def shown() -> list[str]:
    """Run every cell of the page; the answers that it gives."""
    answers: list[str] = []

    def kept(*arguments: object, **words: object) -> HtmlView:
        answers.append(open_views.answer(*arguments, **words)._repr_html_())
        return HtmlView("", "")

    page = nbformat.read(ROOT / "notebooks" / "open-questions.ipynb", as_version=4)
    names: dict[str, object] = {"__name__": "page"}
    with plt.rc_context({"backend": "agg"}):
        for cell in page.cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, cell.id, "exec"), names)
                names |= {"answer": kept} if "answer" in names else {}
    return answers


def test_the_page_answers_every_question_with_live_numbers(result, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ATTM_RESULTS", str(tmp_path))
    write_result(result)
    grid = {reading: 0.1 * number for number, reading in enumerate(GRID)}
    monkeypatch.setattr(selection, "distances", lambda study: grid)
    write_result(selection.tabulate(KnownStudy(None, "mini"), GRID[0]))
    sweep = Result("score_sweep", "mini", provenance={"by": "test"})
    for row, s in product(("sft", "bandwidth 0.25", "bandwidth 2"), (2.0, 5.0)):
        sweep.add(row, "reward", 0.5, "reward", s=s)
    write_result(sweep)
    answers = shown()
    assert len(answers) == 7
    assert all("attm-number" in answer and "Level B" in answer for answer in answers), answers
    assert "works there, too" in answers[4]


def test_a_page_without_results_says_so(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ATTM_RESULTS", str(tmp_path))
    answers = shown()
    assert len(answers) == 7
    assert all("Not answered yet" in answer for answer in answers)
