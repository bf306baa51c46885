import json
import math
from dataclasses import replace

import numpy as np
import pytest

from attm_companion.study.results import (
    Result,
    Value,
    read_result,
    result_path,
    results_folder,
    results_hash,
    write_result,
)
from attm_core.errors import ResultError


def example(experiment: str = "toy") -> Result:
    result = Result(experiment, "test", provenance={"date": "today", "code_commit": "abc"})
    result.add("row.fad", 1 / 3, "FAD", n=100, seed=42, low=0.3, high=0.4, paper=0.4681)
    result.add("row.gain", np.float64(0.25), "reward", verdict="†")
    result.tables["steps"] = [{"step": "row1", "t": 2.5}]
    return result


def rewrite(change) -> None:
    path = result_path("test", "toy")
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def test_what_is_written_is_read_again(own_folders):
    path = write_result(example())
    assert path == own_folders / "results" / "test" / "toy.json"
    read = read_result("test", "toy")
    expected = example()
    expected.values["row.fad"] = replace(expected["row.fad"], value=0.333333333)
    assert read == expected
    assert read["row.gain"] == Value(0.25, "reward", verdict="†")


def test_results_are_below_the_working_folder_without_the_variable(monkeypatch):
    monkeypatch.delenv("ATTM_RESULTS")
    assert results_folder("mini").as_posix() == "results/mini"


def test_a_file_of_the_same_values_keeps_its_provenance():
    path = write_result(example())
    before = path.read_bytes()
    again = replace(example(), provenance={"date": "tomorrow"})
    assert write_result(again) == path
    assert path.read_bytes() == before
    again.add("row.more", 1.0, "1")
    write_result(again)
    assert read_result("test", "toy").provenance == {"date": "tomorrow"}
    again.tables["steps"][0]["t"] = 2.75
    write_result(replace(again, provenance={"date": "later"}))
    assert read_result("test", "toy").provenance == {"date": "later"}


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_file_that_is_no_result_is_replaced(text):
    path = write_result(example())
    path.write_text(text)
    write_result(example())
    assert read_result("test", "toy").provenance["date"] == "today"


def test_a_file_without_provenance_is_replaced():
    write_result(replace(example(), provenance={}))
    write_result(example())
    assert read_result("test", "toy").provenance["date"] == "today"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_refused(value):
    with pytest.raises(ResultError, match=r"toy: value 'x' is (nan|-?inf)"):
        Result("toy", "test").add("x", value, "1")


@pytest.mark.parametrize("bound", ["low", "high", "paper"])
def test_bounds_that_are_no_numbers_are_refused(bound):
    with pytest.raises(ResultError, match=f"toy: {bound} of 'x' is nan"):
        Result("toy", "test").add("x", 1.0, "1", **{bound: math.nan})


def test_a_key_is_given_once():
    result = example()
    with pytest.raises(ResultError, match=r"'row\.fad' is given twice"):
        result.add("row.fad", 0.5, "FAD")
    assert result["row.fad"].value == 1 / 3


def test_an_unknown_key_says_what_is_missing():
    with pytest.raises(ResultError, match="toy has no value 'table9'"):
        example()["table9"]


def test_a_missing_file_says_which_command_makes_it():
    with pytest.raises(ResultError, match="attm study --profile test"):
        read_result("test", "toy")


def test_a_file_without_provenance_is_refused():
    write_result(replace(example(), provenance={}))
    with pytest.raises(ResultError, match="no provenance"):
        read_result("test", "toy")
    write_result(example())
    rewrite(lambda raw: raw.pop("provenance"))
    with pytest.raises(ResultError, match="no provenance"):
        read_result("test", "toy")


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw.pop("values"),
        lambda raw: raw.update(values=[1, 2]),
        lambda raw: raw["values"]["row.fad"].update(colour="red"),
        lambda raw: raw["values"]["row.fad"].pop("unit"),
        lambda raw: raw.pop("experiment"),
        lambda raw: raw.update(more=1),
    ],
)
def test_a_malformed_file_is_refused(damage):
    write_result(example())
    rewrite(damage)
    with pytest.raises(ResultError, match="malformed"):
        read_result("test", "toy")


def test_a_torn_file_is_refused():
    path = write_result(example())
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ResultError, match="malformed"):
        read_result("test", "toy")


def test_the_hash_leaves_out_the_facts_of_the_run():
    write_result(example())
    before = results_hash("test")
    rewrite(lambda raw: raw.update(provenance={"date": "tomorrow", "hardware": "abacus"}))
    assert read_result("test", "toy").provenance["date"] == "tomorrow"
    assert results_hash("test") == before


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw["values"]["row.fad"].update(value=0.333333334),
        lambda raw: raw["values"]["row.gain"].update(verdict="not significant"),
        lambda raw: raw["tables"]["steps"][0].update(t=2.51),
        lambda raw: raw["values"].update({"row.more": {"value": 1.0, "unit": "1"}}),
    ],
)
def test_the_hash_sees_every_value(change):
    write_result(example())
    before = results_hash("test")
    rewrite(change)
    assert results_hash("test") != before


def test_the_hash_is_over_all_files_of_the_profile():
    write_result(example())
    before = results_hash("test")
    write_result(replace(example(), profile="other"))
    assert results_hash("test") == before
    write_result(example("toy2"))
    assert results_hash("test") != before


def test_the_hash_leaves_out_what_the_run_cost():
    def account(seconds: float, stages: int) -> Result:
        result = Result("compute", "test", provenance={"date": "today"})
        result.add("compute.SFT.cpu", seconds, "core-seconds")
        result.tables["cost"] = [{"kind": "SFT", "stages": stages, "cpu_s": seconds}]
        return result

    write_result(example())
    write_result(account(10.0, 1))
    before = results_hash("test")
    write_result(account(99.0, 1))
    assert results_hash("test") == before
