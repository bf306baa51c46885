import json

import pytest
import yaml

from attm_companion.commands import compare_cli
from attm_companion.commands.cli import main
from attm_companion.study.result_files import ROOT, write_result
from attm_companion.study.results import Result


def run(profile: str, value: float, verdict: str) -> None:
    result = Result("toy", profile, provenance={"code_commit": "test"})
    ends = {"low": value - 1.96, "high": value + 1.96}
    result.add("new", "reward", value, "reward", against="old", verdict=verdict, **ends)
    write_result(result)


@pytest.fixture(autouse=True)
def _expected(tmp_path, monkeypatch):
    monkeypatch.setattr(compare_cli, "EXPECTED", tmp_path / "expected.json")


def test_equal_runs_end_well_and_another_verdict_is_named_and_is_the_exit_code(capsys):
    for name in ("one", "two"):
        run(name, 4.0, "higher")
    assert main(["compare", "one", "two"]) == 0
    assert "1 of 1 verdicts are the same" in capsys.readouterr().out
    run("two", -4.0, "lower")
    assert main(["compare", "one", "two"]) == 1
    said = capsys.readouterr().out
    assert "toy: reward of new against old: higher → lower" in said
    assert "0 of 1 verdicts are the same" in said
    # Both standard errors are 1, so a difference of 8 is 8 / √2 = 5.7.
    assert "z =   -5.7  toy: reward of new against old: 4 → -4" in said


def test_a_run_is_held_against_what_is_expected(capsys):
    run("one", 1.0, "higher")
    assert main(["compare", "one", "--write"]) == 0
    assert main(["compare", "one"]) == 0
    assert "toy.csv: same bytes" in capsys.readouterr().out
    run("one", 1.5, "higher")
    assert main(["compare", "one"]) == 0
    assert "toy.csv: other bytes" in capsys.readouterr().out
    run("one", 1.5, "tied")
    assert main(["compare", "one"]) == 1


def test_what_is_committed_as_expected_is_what_is_committed(monkeypatch):
    monkeypatch.setenv("ATTM_RESULTS", str(ROOT / "results"))
    expected = json.loads((ROOT / "results" / "expected.json").read_text())
    assert expected, "write it with `attm compare mini --write`"
    for name, wanted in expected.items():
        found = compare_cli.expectation(name)
        for part in ("files", "verdicts"):  # a table that is new need not be expected yet
            assert wanted[part].items() <= found[part].items(), f"`attm compare {name} --write`"


def test_the_manifest_names_files_that_are_there():
    manifest = yaml.safe_load((ROOT / "codecheck.yml").read_text())["manifest"]
    assert len(manifest) > 5
    for entry in manifest:
        assert (ROOT / entry["file"]).is_file(), entry["file"]
