import json

import pytest
from publishing_samples import RESULT

from attm_companion.book.numbers import find_number
from attm_core.errors import ResultError


@pytest.fixture
def results(tmp_path):
    (tmp_path / "table.json").write_text(json.dumps(RESULT))
    return tmp_path


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ("table:row.fad|.3f", "−0.424"),
        ("table:row.fad@paper|.1f", "0.2"),
        ("table:row.fad@difference|+.2f", "−0.67"),
        ("table:row.fad@n", "100"),
        (" table:row.fad@low|.1e ", "−5.0e-01"),
        ("table:row.fad@high|.0%", "−30%"),
    ],
)
def test_number_is_formatted(results, request_, text):
    assert find_number(results, request_).text == text


def test_origin_says_where_it_comes_from(results):
    origin = find_number(results, "table:row.fad").origin
    for part in ("table, row.fad", "n 100", "seed 42", "interval -0.5 to -0.3", "commit abc1234"):
        assert part in origin


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("table", "not of the form"),
        ("table:row.fad@value@x", "not of the form"),
        ("tabel:row.fad", "no result file tabel.json"),
        ("table:row.clap", "has no value 'row.clap'"),
        ("table:row.fad@mean", "no field 'mean'"),
        ("table:row.fad@verdict", "has no verdict"),
        ("table:row.fad|.3q", "table:row.fad|.3q"),
    ],
)
def test_what_is_not_there_is_an_error(results, request_, message):
    with pytest.raises(ResultError, match=message.replace("|", r"\|")):
        find_number(results, request_)


def test_a_result_without_provenance_is_refused(results):
    (results / "table.json").write_text(json.dumps(RESULT | {"provenance": {}}))
    with pytest.raises(ResultError, match="no provenance"):
        find_number(results, "table:row.fad")


def test_a_difference_needs_the_papers_value(results):
    content = json.loads(json.dumps(RESULT))
    content["values"]["row.fad"]["paper"] = None
    (results / "table.json").write_text(json.dumps(content))
    with pytest.raises(ResultError, match="has no difference"):
        find_number(results, "table:row.fad@difference")
