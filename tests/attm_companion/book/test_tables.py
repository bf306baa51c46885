import pandas as pd
import pytest

from attm_companion.book.tables import show_table
from attm_core.errors import InputError

FRAME = pd.DataFrame(
    {"ours": [-0.5, 0.25], "paper": [0.25, float("nan")], "n": [100, 90]}, index=["FAD <1>", "CLAP"]
)


def test_a_table_has_caption_and_headers():
    html = show_table(FRAME, "Values & more", {"ours": ".1f"})._repr_html_()
    assert "<caption>Values &amp; more</caption>" in html
    assert '<tr><td></td><th scope="col">ours</th>' in html
    assert '<th scope="row">FAD &lt;1&gt;</th><td>−0.5</td><td>0.25</td><td>100</td>' in html
    assert "<td>—</td>" in html
    assert repr(show_table(FRAME, "Values")).startswith("Values\n"), "for terminals"
    frame = pd.DataFrame({"a": [0.9796912614, 12345.678], "n": [7, 8]})
    html = show_table(frame, "c").html  # floats without a format have four digits
    assert "<td>0.9797</td><td>7</td>" in html and "<td>1.235e+04</td><td>8</td>" in html


def test_a_column_with_words_is_read_from_the_left():
    frame = pd.DataFrame({"p": ["< 0.0001", "0.2"], "verdict": ["—", "tied"]}, index=["a", "b"])
    html = show_table(frame, "c").html
    assert '<th scope="col">p</th><th scope="col" class="attm-words">verdict</th>' in html
    assert '<td>&lt; 0.0001</td><td class="attm-words">—</td>' in html


def test_refused():
    with pytest.raises(InputError, match="needs a caption"):
        show_table(FRAME, " ")
    with pytest.raises(InputError, match="no column theirs"):
        show_table(FRAME, "c", {"theirs": ".1f"})


def test_an_interval_stays_on_one_line_and_its_signs_are_minus_signs():
    frame = pd.DataFrame({"Reward": ["-0.004 [-0.059, 0.050]"], "run": ["seed-42, 2026-11-24"]})
    html = show_table(frame, "Rewards")._repr_html_()
    interval = '<span class="attm-interval">[−0.059, 0.050]</span>'
    assert f"<td>−0.004 {interval}</td>" in html
    assert '<td class="attm-words">seed-42, 2026-11-24</td>' in html
    listed = show_table(pd.DataFrame({"names": ["[a, b]"]}), "Lists")._repr_html_()
    assert "attm-interval" not in listed
