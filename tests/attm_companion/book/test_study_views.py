import pytest

from attm_companion.book import result_views as views
from attm_companion.book.result_views import comparison, plot_curve, plot_intervals
from attm_companion.study.results import Result


@pytest.fixture
def result() -> Result:
    result = Result("toy", "test")
    result.add("row1", "fad", 0.5, "FAD", low=0.25, high=0.75, paper=0.4681)
    result.add("row1", "clap", 0.3, "cosine")
    result.add("row2", "fad", 0.4, "FAD", low=0.0, high=0.8, paper=0.4)
    step = {"against": "row1", "n": 60, "test": "paired t, greater", "p": 0.001, "verdict": "†"}
    result.add("row2", "reward", 0.125, "reward", low=0.1, high=0.15, **step)
    for s, value in ((5.0, 3.0), (-0.5, 1.0), (1.0, 2.0)):
        ends = {"low": value - 0.5, "high": value + 0.5}
        result.add("sft", "reward", value, "reward", s=s, **ends)
    return result


def test_comparison_shows_ours_the_papers_and_the_difference(result):
    frame = comparison(result, {"One": "row1", "Two": "row2"}, ("fad", "clap"))
    assert {name: str(cell) for name, cell in frame.loc["One"].items()} == {
        "FAD-CLAP ↓": "0.500 [0.250, 0.750]",
        "FAD-CLAP ↓ paper": "0.468",
        "FAD-CLAP ↓ difference": "+0.032",
        "CLAP ↑": "0.300",
    }
    assert list(frame.index) == ["One", "Two"]
    assert frame.loc["Two", "CLAP ↑"] is None
    ours = comparison(result, {"One": "row1"}, ("fad",), paper=False)
    assert list(ours.columns) == ["FAD-CLAP ↓"]


def test_a_changed_study_leaves_the_papers_values_out(result):
    rows = {"One": "row1"}
    result.provenance = {"changed": {"seed": 7}}
    assert len(comparison(result, rows, ("fad",)).columns) == 3
    result.provenance = {"changed": {"crpo.beta": 200, "seed": 7}}
    assert list(comparison(result, rows, ("fad",)).columns) == ["FAD-CLAP ↓"]


def test_tests_are_those_that_carry_a_p(result):
    table = views.tests_table(result)
    assert list(table.index) == ["Reward: row2 − row1"]
    line = table.iloc[0]
    assert str(line["difference [95 %]"]) == "+0.125 [+0.100, +0.150]"
    assert (line["p"], line["n"], line["verdict"]) == ("0.0010", 60, "†")
    assert views.tests_table(result, "against == 'row0'").empty


def test_pictures_show_the_numbers_they_were_given(result):
    from matplotlib.figure import Figure

    left, right = Figure().subplots(1, 2)
    plot_curve(left, result.frame.query("row == 'sft'"), "SFT")
    assert left.lines[0].get_xdata().tolist() == [-0.5, 1.0, 5.0]
    assert left.lines[0].get_ydata().tolist() == [1.0, 2.0, 3.0]
    plot_intervals(right, result, {"One": "row1", "Two": "row2"}, "fad")
    bars = [tuple(line.get_xdata()) for line in right.lines[:2]]
    assert bars == [(0.25, 0.75), (0.0, 0.8)]
    assert [text.get_text() for text in right.get_yticklabels()] == ["One", "Two"]
    ours, paper = right.lines[2], right.lines[3]
    assert list(ours.get_xdata()) == [0.5, 0.4]
    assert list(paper.get_xdata()) == [0.4681, 0.4]
