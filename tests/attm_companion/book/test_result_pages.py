"""What result pages promise: an answer with live numbers first, plumbing folded, open tests."""

import re

import nbformat
import pytest

from attm_companion.book.numbers import find_number, find_phrase
from attm_companion.study.result_files import ROOT
from attm_core.errors import ResultError

PAGES = (
    "compute-account", "cross-mechanism", "cumulative-ablation", "floor-and-ceiling",
    "full-mix-reward", "head-sweep", "score-sweep", "summary", "two-runs", "variants",
)  # fmt: skip
COMPUTED = ("is-it-the-experts", "training-seeds", "which-metric")  # answers chosen by the results
ROLE = re.compile(r"\{(num|says)\}`([^`]+)`")
TESTED = set(PAGES) - {"compute-account", "summary", "two-runs"}  # pages of per-prompt scores


def notebook(name: str):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def roles() -> list[tuple[str, str, str]]:
    sources = {path.stem: path.read_text() for path in (ROOT / "book").glob("*.md")}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        sources[path.stem] = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    return [(name, *found) for name, text in sources.items() for found in ROLE.findall(text)]


@pytest.mark.parametrize("name", PAGES)
def test_the_first_paragraph_is_an_answer_with_a_live_number(name):
    title, answer, *_ = notebook(name).cells[0].source.split("\n\n")
    assert title.startswith("# ")
    assert answer.startswith("**Answer.**")
    assert "{num}`" in answer
    typed = re.search(r"\d+\.\d+", re.sub(r"\$[^$]*\$", "", ROLE.sub("", answer)))
    assert not typed, "numbers of results come from the results"


@pytest.mark.parametrize("name", COMPUTED)
def test_the_first_cell_after_the_parameters_says_the_answer(name):
    title, parameters, first, *_ = notebook(name).cells
    assert "\n" not in title.source and title.source.startswith("# ")
    assert parameters.metadata.tags == ["parameters"]
    assert first.metadata.tags == ["hide-input", "answer"]
    assert "answer(result)" in first.source.splitlines()[-1]


@pytest.mark.parametrize("name", PAGES + COMPUTED)
def test_plumbing_is_folded(name):
    for cell in notebook(name).cells:
        plumbing = "open_study(" in cell.source or "plt.subplots" in cell.source
        if cell.cell_type == "code" and plumbing:
            assert "hide-input" in cell.metadata.get("tags", []), cell.source[:60]


@pytest.mark.parametrize("name", sorted(TESTED))
def test_the_statistic_is_computed_in_an_open_cell(name):
    open_cells = [
        cell.source
        for cell in notebook(name).cells
        if cell.cell_type == "code" and "hide-input" not in cell.metadata.get("tags", [])
    ]
    assert any(re.search(r"paired_t_test\(|pearson\(", source) for source in open_cells)


def test_at_least_forty_numbers_are_live_and_every_one_is_there(monkeypatch):
    monkeypatch.setenv("ATTM_RESULTS", str(ROOT / "results"))
    found = roles()
    assert sum(kind == "num" for _, kind, _ in found) >= 40
    for page, kind, request in found:
        resolve = find_number if kind == "num" else find_phrase
        try:
            resolve(ROOT / "results" / "mini", request.replace(r"\|", "|"))
        except ResultError as error:
            pytest.fail(f"{page}: {error}")
