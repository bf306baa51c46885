import math
import os
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from attm_companion.study import result_files
from attm_companion.study.results import Result
from attm_core.errors import ResultError


def example(experiment: str = "toy") -> Result:
    origin = {"date": "today", "code_commit": "abc"}
    result = Result(experiment, "test", provenance=origin, training_seed=7)
    result.add("row", "fad", 1 / 3, "FAD", n=100, generation_seed=42, low=0.3, high=0.4, paper=0.5)
    result.add("row", "fad", 0.375, "FAD", generation_seed=55)
    result.add("row", "gain", np.float64(0.25), "reward", verdict="†, or not")
    result.add("sft", "reward", 1.0, "reward", s=0.0)
    result.add("sft", "reward", 2.0, "reward", s=1.5)
    result.add("sft", "reward", 1.0, "reward", s=1.5, against="s=0", over="prompts")
    return result


def test_what_is_written_is_read_again(own_folders):
    path = result_files.write_result(example())
    assert path == own_folders / "results" / "test" / "toy.csv"
    expected = example()
    expected.values[0] = replace(expected.values[0], value=0.333333333)
    assert result_files.read_result("test", "toy") == expected


def test_a_query_names_one_line():
    values = {
        "fad of row": 1 / 3,  # the first seed counts
        "fad of row with seed 55": 0.375,
        "fad of row with seed 55 trained with 7": 0.375,
        "gain of row": 0.25,
        "reward of sft at s=1.5": 2.0,
        " reward of sft at s=1.5 against s=0 ": 1.0,
    }
    assert {query: example()[query].value for query in values} == values
    named = example().named  # every line has a name that finds it
    assert len(named) == len(example().values)
    assert all(example()[name] == line for name, line in named.items())
    assert {"fad of row", "reward of sft against s=0"} <= set(named)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("clap of row", "toy of test has no 'clap of row'"),
        ("fad of row with seed 56", "has no"),
        ("fad of row trained with 8", "has no"),
        ("fad of row over all seeds", "has no"),
        ("reward of sft", r"'reward of sft' is there at s = 0, 1.5; say which"),
        ("row.fad", "not of the form METRIC of ROW"),
    ],
)
def test_a_query_that_names_none_or_several_is_an_error(query, message):
    with pytest.raises(ResultError, match=message):
        example()[query]


def test_a_table_of_the_same_values_keeps_its_provenance():
    path = result_files.write_result(example())
    before = path.read_bytes()
    again = replace(example(), provenance={"date": "tomorrow"})
    result_files.write_result(again)
    assert path.read_bytes() == before
    assert result_files.read_result("test", "toy").provenance["date"] == "today"
    again.add("row", "more", 1.0, "1")
    result_files.write_result(again)
    assert result_files.read_result("test", "toy").provenance == {"date": "tomorrow"}


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_files_that_are_no_result_are_replaced(text):
    path = result_files.write_result(example())
    path.write_text(text)
    path.with_suffix(".json").write_text(text)
    result_files.write_result(example())
    assert result_files.read_result("test", "toy").provenance["date"] == "today"


@pytest.mark.parametrize("number", ["value", "low", "high", "paper", "p"])
@pytest.mark.parametrize("what", [math.nan, math.inf])
def test_what_is_no_number_is_refused(number, what):
    facts = {"value": 1.0, number: what}
    with pytest.raises(ResultError, match=f"toy: x of row: {number} is (nan|inf)"):
        Result("toy", "test").add("row", "x", unit="1", **facts)


def test_what_is_not_there_or_there_twice_is_said():
    with pytest.raises(ResultError, match="gain of row is given twice"):
        example().add("row", "gain", 0.5, "reward")
    with pytest.raises(ResultError, match="attm study --profile test"):
        result_files.read_result("test", "toy")
    result_files.write_result(example()).with_suffix(".json").unlink()
    with pytest.raises(ResultError, match="no provenance"):
        result_files.read_result("test", "toy")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("metric", "metrics", 1),
        lambda text: text.replace("0.333333333", "a third"),
        lambda text: text.replace(",7,42,", ",7,42.5,"),
        lambda text: text + "toy,row\n",
        lambda text: text[:-3],
        lambda text: text.replace("†, or not", '"†, or not'),
    ],
)
def test_a_malformed_file_is_refused(damage):
    path = result_files.write_result(example())
    path.write_text(damage(path.read_text()))
    with pytest.raises(ResultError, match="malformed"):
        result_files.read_result("test", "toy")


@pytest.mark.parametrize(
    "change", [{"value": 0.333333334}, {"verdict": "not significant"}, {"generation_seed": 43}]
)
def test_the_hash_sees_every_field_of_every_file_but_no_fact_of_the_run(change):
    folder = result_files.write_result(example()).parent
    before = result_files.results_hash(folder)
    (folder / "toy.json").write_text('{"date": "tomorrow", "hardware": "abacus"}')
    account = Result("compute", "test", provenance={"date": "today"})
    account.add("SFT", "processor_time", 10.0, "core-seconds")
    result_files.write_result(account)
    assert result_files.results_hash(folder) == before
    other = example()
    other.values[0] = replace(other.values[0], **change)
    result_files.write_result(other)
    assert result_files.results_hash(folder) != before
    result_files.write_result(example())
    assert result_files.results_hash(folder) == before
    result_files.write_result(example("toy2"))
    assert result_files.results_hash(folder) != before


def test_facts_of_a_run_and_of_its_hardware(processor):
    facts = result_files.provenance("crpo-1", "f00d")
    assert facts["config_uid"] == "crpo-1"
    assert facts["data_hash"] == "f00d"
    age = datetime.now(UTC) - datetime.fromisoformat(facts["date"])
    assert 0 <= age.total_seconds() < 60
    assert {"code_commit", "lock_hash", "hardware", "python"} <= set(facts)
    processor(avx512_bf16=False)
    assert f", {os.cpu_count()} cores, " in result_files.hardware()
    assert re.search(r"\d+ GiB, float32$", result_files.hardware())
    processor(avx512_bf16=True)
    assert result_files.hardware().endswith("GiB, bfloat16")


def git(folder, *words: str) -> str:
    who = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    done = subprocess.run(("git", *who, *words), cwd=folder, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_commit_says_whether_code_differs_from_it(tmp_path, monkeypatch):
    monkeypatch.setattr(result_files, "ROOT", tmp_path)
    assert result_files.code_commit() == "unknown"
    git(tmp_path, "init", "-q")
    (tmp_path / "attm_core").mkdir()
    (tmp_path / "attm_core" / "a.py").write_text("a = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Begin")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert len(commit) == 12
    (tmp_path / "notes.txt").write_text("no code")
    assert result_files.code_commit() == commit
    (tmp_path / "attm_core" / "a.py").write_text("a = 2\n")
    assert result_files.code_commit() == f"{commit}+changes"
