import argparse
import dataclasses
import json
from pathlib import Path

import pytest

from attm_companion.ledger import cli, registry
from attm_companion.ledger.evidence import (
    Claim,
    Evidence,
    Outcome,
    gather,
    load_claims,
    load_readings,
)
from attm_companion.ledger.ledger import (
    VERDICTS,
    build_ledger,
    check_location,
    count_verdicts,
    ledger_document,
    mini_summary,
    run_check,
)
from attm_companion.ledger.registry import all_checks, check, reading_outcome
from attm_core.errors import ConfigError, ResultError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    with pytest.MonkeyPatch.context() as patch:  # made before the fixture below takes effect
        patch.delenv("ATTM_RELEASED_DIR", raising=False)
        return dataclasses.replace(gather(None, ROOT / "results"), mini={})


@pytest.fixture(scope="module")
def verdicts(evidence: Evidence) -> dict[str, str]:
    return {entry.claim.id: entry.outcome.verdict for entry in build_ledger(evidence)}


@pytest.fixture(autouse=True)
def _without_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATTM_RELEASED_DIR", raising=False)


def test_all_129_claims_have_a_check_a_verdict_and_a_reason(evidence: Evidence):
    entries = build_ledger(evidence)
    paper = [entry for entry in entries if not entry.claim.is_finding]
    assert [entry.claim.id for entry in paper] == [f"C{number:02d}" for number in range(1, 130)]
    assert all(entry.outcome.verdict in VERDICTS for entry in entries)
    assert all(entry.outcome.reason.rstrip().endswith(".") for entry in entries)
    assert sum(count_verdicts(entries, findings=False).values()) == 129
    for entry in entries:
        path, name = entry.check.split("#")
        assert name in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("key", "printed", "flips"),
    [
        ("table2.row0.fad", "0.4900", {"C10": "holds", "C154": "holds"}),
        ("table3.sft.v1_v2.fad", "0.4581", {"C103": "holds", "C134": "holds"}),
        ("table2.row0.reward", "-0.044", {"C95": "ambiguous"}),
        ("table3.sub2.reward", "**+0.550**", {"C109": "holds"}),
        ("hyper.stage2.n_kept", "60", {"C46": "holds"}),
        (
            "table2.row4.fad",
            "**0.4219**",
            {"C94": "contradicted", "C130": "holds", "C149": "contradicted"},
        ),
        ("text.total_gpu_hours", "30", {"C71": "contradicted", "C124": "contradicted"}),
        ("table1.v4.clap", "0.260", {"C09": "contradicted", "C24": "contradicted"}),
        ("fig2.sft_reward_s2", "+0.51", {"C117": "contradicted"}),
        ("hyper.inference.s", "2.5", {"C75": "contradicted"}),
        ("hyper.ranker.accuracy", "0.709", {"C44": "holds"}),
    ],
)
def test_one_changed_number_flips_the_right_claims(
    evidence: Evidence, verdicts: dict[str, str], key: str, printed: str, flips: dict[str, str]
):
    changed = dataclasses.replace(evidence, paper=evidence.paper.with_number(key, printed))
    new = {entry.claim.id: entry.outcome.verdict for entry in build_ledger(changed)}
    assert {name: new[name] for name in new if new[name] != verdicts[name]} == flips


def test_a_changed_figure_of_the_release_flips_its_claim(evidence, verdicts):
    figures = json.loads(json.dumps(evidence.audit.figures))
    figures["scores"]["clap"]["systems"]["baseline"]["mean"] = 0.230
    figures["scores"]["reward"]["systems"]["baseline"]["mean"] = -0.392
    changed = dataclasses.replace(
        evidence, audit=dataclasses.replace(evidence.audit, figures=figures)
    )
    new = {entry.claim.id: entry.outcome.verdict for entry in build_ledger(changed)}
    assert {name for name in new if new[name] != verdicts[name]} == {"C87"}
    assert new["C87"] == "holds"


def test_levels_follow_what_a_check_looked_at(evidence: Evidence):
    level = {entry.claim.id: entry.level for entry in build_ledger(evidence)}
    assert (level["C08"], level["C83"], level["C73"]) == ("A", "B", "C")


def test_the_command_writes_the_same_file_twice(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "released_audit.json").write_bytes(
        (ROOT / "results" / "released_audit.json").read_bytes()
    )
    parser = argparse.ArgumentParser()
    cli.add_parsers(parser.add_subparsers())
    args = parser.parse_args(["claims", "--results", str(tmp_path), "--show", "ambiguous"])
    assert args.run(args) == 0
    first = (tmp_path / "claims.json").read_bytes()
    args.run(args)
    assert (tmp_path / "claims.json").read_bytes() == first
    output = capsys.readouterr().out
    assert "129 claims" in output
    assert all(verdict in output for verdict in VERDICTS)
    assert "C117 [IV-D(a)]" in output
    document = json.loads(first)
    assert sum(document["counts"]["paper"].values()) == 129
    assert document["claims"]["C90"]["mini"]["sentence"].startswith("The mini study has no value")


def test_mini_values_stand_beside_the_verdict_and_leave_it_alone(evidence, verdicts):
    value = {"value": 0.5, "low": 0.4, "high": 0.6, "unit": "FAD", "n": 100, "paper": 0.4238}
    richer = dataclasses.replace(evidence, mini={"cumulative: fad of row4": value, "other": value})
    document = ledger_document(build_ledger(richer), richer)
    assert {k: v["verdict"] for k, v in document["claims"].items()} == verdicts
    mini = document["claims"]["C90"]["mini"]
    assert mini["sentence"] == "Mini study: cumulative: fad of row4 = 0.5."
    assert list(mini["values"]) == ["cumulative: fad of row4"]
    assert document["claims"]["C05"]["mini"] is None


def test_a_long_mini_summary_is_cut():
    values = {f"v{i}": {"value": float(i)} for i in range(6)}
    assert mini_summary(values)["sentence"].endswith("v3 = 3 and 2 more.")


def test_missing_audit_says_what_to_run(tmp_path: Path):
    with pytest.raises(ResultError, match="attm claims --released"):
        gather(None, tmp_path)


def test_checks_cannot_be_registered_twice_or_left_without_claim(evidence, monkeypatch):
    with pytest.raises(ConfigError, match="C08 has two checks"):
        check("C08")(lambda _: Outcome("holds", "x."))
    monkeypatch.setattr(
        registry, "CHECKS", {**registry.CHECKS, "C999": lambda _: Outcome("holds", "x.")}
    )
    with pytest.raises(ResultError, match="do not match: C999"):
        build_ledger(evidence)


def test_a_check_without_reason_is_refused(evidence: Evidence):
    claim = Claim("C01", "I", "introduction", "a", "statement")
    with pytest.raises(ResultError, match="gave no verdict"):
        run_check(claim, lambda _: Outcome("holds", " "), evidence)


def test_readings_cover_only_claims_and_map_to_verdicts():
    readings, claims = load_readings(), load_claims()
    assert set(readings) <= set(claims)
    assert set(all_checks()) == set(claims)
    assert {reading.same for reading in readings.values()} <= set(registry._BY_READING)
    assert reading_outcome(readings["C73"]).verdict == "contradicted"
    assert check_location(all_checks()["C73"]) == "attm_companion/ledger/registry.py#check_reading"
