import pytest

from attm_companion.book import result_views as views
from attm_companion.book.result_views import comparison, plot_curve, plot_intervals
from attm_companion.study.opening import open_study
from attm_companion.study.profile import load_profile
from attm_companion.study.results import Result
from attm_core.errors import ConfigError


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


def test_an_unchanged_study_keeps_its_name():
    profile = load_profile("smoke")
    same = open_study("smoke", profile.seed, s=profile.generation.s, w=profile.generation.w)
    assert same.profile is open_study("smoke").profile is profile


def test_a_changed_study_gets_a_name_of_its_own():
    studies = [open_study("smoke", s=3.0), open_study("smoke", s=4.0), open_study("smoke", 7)]
    names = [study.profile.name for study in studies]
    assert len(set(names)) == 3
    assert all(name.startswith("smoke-") for name in names)
    assert open_study("smoke", s=3.0).profile.name == names[0]
    assert studies[0].profile.generation.s == 3.0
    assert studies[2].training_seed == 7


def test_a_changed_generation_shares_the_training_and_not_the_conditions():
    plain, changed = open_study("smoke"), open_study("smoke", w=2.0, n_prompts=4)
    assert plain.baseline().uid == changed.baseline().uid
    cells = [
        study.condition(study.baseline(), study.evaluation, s=None) for study in (plain, changed)
    ]
    assert cells[0].uid != cells[1].uid


@pytest.mark.parametrize("wrong", [{"w": "strong"}, {"guidance": 3.0}])
def test_fields_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="generation of 'smoke'"):
        open_study("smoke", **wrong)
    with pytest.raises(ConfigError, match="no profile"):
        open_study("huge", **wrong)


def test_comparison_shows_ours_the_papers_and_the_difference(result):
    frame = comparison(result, {"One": "row1", "Two": "row2"}, ("fad", "clap"))
    assert {name: str(cell) for name, cell in frame.loc["One"].items()} == {
        "FAD-CLAP ↓": "0.500 [0.250, 0.750]",
        "FAD-CLAP ↓ paper": "0.468",
        "FAD-CLAP ↓ difference": "+0.032",
        "CLAP ↑": "0.300",
    }
    two = frame.loc["Two"]
    assert str(two["FAD-CLAP ↓"]) == "0.400 [0.000, 0.800]"
    assert str(two["FAD-CLAP ↓ difference"]) == "+0.000"
    assert two["CLAP ↑"] is None
    assert list(frame.index) == ["One", "Two"]
    ours = comparison(result, {"One": "row1"}, ("fad",), paper=False)
    assert list(ours.columns) == ["FAD-CLAP ↓"]


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
