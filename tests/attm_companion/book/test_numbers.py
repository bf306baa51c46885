import pytest
from publishing_samples import write_results

from attm_companion.book.numbers import find_number, find_phrase
from attm_companion.study.result_files import ROOT
from attm_core.errors import ResultError


@pytest.fixture
def results(tmp_path):
    write_results(tmp_path / "replications" / "then")
    return write_results(tmp_path / "smoke")


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ("table: fad of row", "−0.424 [−0.500, −0.300]"),
        ("table: fad of row @ value | .2f", "−0.42"),
        ("table: fad of row @paper|.1f", "0.2"),
        ("table: fad of row @difference|+.2f", "−0.67"),
        ("table:fad of row @n", "100"),
        (" table: fad of row @ low |.1e ", "−5.0e-01"),
        ("table: fad of row @ verdict", "lower"),
        ("table: fad of other", "1.000"),
        ("replications/then/table: fad of row @ value", "−0.424"),
    ],
)
def test_number_is_formatted_and_knows_its_level(results, request_, text):
    level = "C" if "@paper" in request_ else "B" if "/" in request_ else "A"
    found = find_number(results, request_)
    assert (found.text, found.level) == (text, level)


def test_a_number_leads_to_its_line_of_data_and_to_the_code_of_its_table(results):
    number = find_number(results, "table: fad of row")
    assert "interval over prompts -0.5 to -0.3" in number.origin
    assert "commit abc1234" in number.origin
    assert number.links == {"data": "source/results/smoke/table.csv.html#L-2"}
    write_results(results, "cumulative")
    links = find_number(results, "cumulative: fad of other").links
    assert links["data"].endswith("results/smoke/cumulative.csv.html#L-3")
    page, _, line = links["code"].partition(".html#L-")
    code = (ROOT / page.removeprefix("source/")).read_text().splitlines()
    assert code[int(line) - 1].startswith("def tabulate")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("table", "not of the form"),
        ("tabel: fad of row", "no result file tabel.csv"),
        ("table: clap of row", "has no 'clap of row'"),
        ("table: row.fad", "METRIC of ROW"),
        ("table: fad of other @ paper", "has no paper"),
        ("table: fad of other @ difference", "has no difference"),
        ("table: fad of row|.3q", "fad of row|.3q"),
    ],
)
def test_what_is_not_there_is_an_error(results, request_, message):
    with pytest.raises(ResultError, match=message.replace("|", r"\|")):
        find_number(results, request_)


def test_a_result_without_provenance_is_refused(results):
    (results / "table.json").write_text("{}")
    with pytest.raises(ResultError, match="no provenance"):
        find_number(results, "table: fad of row")


def test_a_sentence_follows_the_interval(results):
    for row, phrase in {"up": "rises", "row": "falls", "flat": "may do either"}.items():
        request = f"table: fad of {row} | rises | falls | may do either"
        assert find_phrase(results, request) == phrase
    for request in ("table: fad of up | rises | falls", "table: fad of other | a | b | c"):
        with pytest.raises(ResultError, match="an interval and three phrases"):
            find_phrase(results, request)
