import dataclasses

import pytest

from attm_companion.commands.cli import build_parser
from attm_companion.ledger import evidence as ledger_evidence
from attm_companion.ledger.ledger import build_entry, build_ledger, count_verdicts, write_ledger
from attm_companion.ledger.mini_values import NOT_RUN, mini_sentence
from attm_companion.ledger.page import proof_link
from attm_companion.study.result_files import ROOT
from attm_companion.study.results import Result
from attm_core.errors import InputError, ResultError


def test_each_of_the_129_statements_has_a_verdict_and_each_finding_has_none(entries):
    paper = [entry for entry in entries if not entry.claim.is_finding]
    assert [entry.claim.id for entry in paper] == [f"C{number:02d}" for number in range(1, 130)]
    assert all(entry.verdict in ledger_evidence.VERDICTS for entry in paper)
    assert all(entry.verdict is None for entry in entries if entry.claim.is_finding)
    assert all(entry.reason.rstrip().endswith(".") for entry in entries)
    counts = count_verdicts(entries)
    assert sum(counts["computed"].values()) + sum(counts["read"].values()) == 129
    assert counts["finding"] == {"found": len(entries) - 129}


def test_a_proof_opens_the_check_or_the_reading_at_its_line(entries):
    for entry in entries:
        path, name = entry.proof.split("#")
        line = (ROOT / path).read_text(encoding="utf-8").splitlines()[entry.line - 1]
        assert f"{name}:" in line or f"def {name}(" in line or "@" in line, entry.proof
        assert proof_link(entry) == f"../source/{path}.html#L-{entry.line}"
        if entry.claim.kind == "read":
            assert entry.places, entry.claim.id


def test_places_are_quoted_at_a_commit():
    sources = ledger_evidence.load_sources()
    for claim_id, reading in ledger_evidence.load_readings().items():
        for place in reading.places:
            assert place.words, (claim_id, place)
            if place.source != "paper":
                assert place.first is not None, (claim_id, place)
                assert len(sources[place.source].commit) == 40
    unread = [name for name, source in sources.items() if source.date == "not to be had"]
    assert unread == ["FluxAudio", "Preprocessing"]


@pytest.mark.parametrize("wrong", ["run.py", 'XX run.py L1 "a"'])
def test_a_place_of_another_form_is_refused(wrong):
    with pytest.raises(InputError, match="write SOURCE path"):
        ledger_evidence.parse_place(wrong)


def test_the_command_writes_the_committed_file(entries, evidence, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("ATTM_RELEASED_DIR", raising=False)
    audit = (ROOT / "results" / "released_audit.json").read_bytes()
    (tmp_path / "released_audit.json").write_bytes(audit)
    parser = build_parser()
    arguments = ["claims", "--results", str(tmp_path), "--show"]
    args = parser.parse_args([*arguments, "ambiguous"])
    assert args.run(args) == 0
    committed = (ROOT / "results" / "claims.json").read_bytes()
    written = (tmp_path / "claims.json").read_bytes()
    assert written == committed, "run `attm claims` and commit results/claims.json"
    assert write_ledger(entries, evidence, tmp_path / "again.json").read_bytes() == written
    output = capsys.readouterr().out
    assert all(f"{kind:9}" in output for kind in ledger_evidence.KINDS)
    assert "C117 Sub. 1 at any s" in output
    args = parser.parse_args([*arguments, "wrong"])
    with pytest.raises(InputError, match="choose one of holds"):
        args.run(args)


def test_a_mini_sentence_names_value_interval_and_what_it_runs_over(evidence_with_mini, entries):
    richer = build_ledger(evidence_with_mini)
    assert [entry.verdict for entry in richer] == [entry.verdict for entry in entries]
    assert {entry.mini for entry in entries} == {"", NOT_RUN}
    table = Result("cumulative", "mini")
    table.add("row1", "fad", 0.1234, "FAD", low=0.1, high=0.2, over="prompts", training_seed=1)
    table.add("all", "time", 1.0, "h")
    tables = {"cumulative": table}
    assert mini_sentence("x is {cumulative: fad of row1}", tables) == (
        "Mini study: x is 0.123 [0.100, 0.200] (95 % intervals over prompts)."
    )
    assert mini_sentence("{cumulative: time of all} hours", tables) == "Mini study: 1.000 hours."
    table.add("row1", "fad", 0.5, "FAD", low=0.4, high=0.6, over="8 training seeds")
    text = mini_sentence("{cumulative: fad of row1}", tables)
    assert text == "Mini study: 0.500 [0.400, 0.600] (95 % intervals over 8 training seeds)."
    assert mini_sentence("{cumulative: fad of row9}", tables) == NOT_RUN
    assert mini_sentence("{gone: fad of row1}", tables) == NOT_RUN


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"check": "data.nowhere"}, "does not exist"),
        ({"check": None, "found": ""}, "unless a finding, a verdict"),
        ({"found": "{missing}"}, "does not fit its figures"),
        ({"id": "C199", "found": "text."}, "unless a finding"),
    ],
)
def test_a_line_that_says_nothing_is_refused(evidence, changed, message):
    claim = dataclasses.replace(ledger_evidence.load_claims()["C08"], **changed)
    with pytest.raises(ResultError, match=message):
        build_entry(claim, None, evidence)
