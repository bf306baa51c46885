"""The ledger: each statement with verdict, reason and proof, each finding with its figures."""

import importlib
import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attm_companion.ledger.evidence import (
    CLAIMS_FILE,
    KINDS,
    READINGS_FILE,
    VERDICTS,
    Claim,
    Evidence,
    Figures,
    Place,
    Reading,
    Verdict,
    load_claims,
    load_readings,
    load_sources,
)
from attm_companion.ledger.expressions import evaluate
from attm_companion.ledger.mini_values import mini_sentence
from attm_companion.ledger.release.audit import rounded
from attm_core.errors import InputError, ResultError
from attm_core.files import write_json

FOLDER = Path("attm_companion") / "ledger"
BASES = ("the paper's printed numbers", "the public release, measured", "public pages and code")


@dataclass(frozen=True)
class Entry:
    """One line of the ledger."""

    claim: Claim  # the statement, or the finding's title
    verdict: Verdict | None  # on the statement as the paper prints it; None for a finding
    reason: str  # what was found
    figures: Figures  # what the check computed, by name
    proof: str  # file and name of the check, or file and id of the reading
    line: int  # of ``proof`` in its file, from 1
    basis: str  # what the line rests on
    places: tuple[Place, ...] = ()  # public places that bear on it
    mini: str = ""  # what the mini study says; never enters the verdict

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; no line of ours, which moves with the file."""
        sources = load_sources()
        places = [{"url": p.url(sources[p.source]), "words": p.words} for p in self.places]
        plain: dict[str, Any] = {
            "where": self.claim.where,
            "section": self.claim.section,
            "statement": self.claim.statement,
            "kind": self.claim.kind,
            "decided_by": self.claim.decided_by,
            "verdict": self.verdict,
            "reason": self.reason,
            "figures": rounded(self.figures),
            "basis": self.basis,
            "proof": self.proof,
        }
        return plain | ({"places": places} if places else {})


def check_function(claim: Claim) -> tuple[Callable[..., Any], list[str]]:
    """A claim's function of ``claims.yaml`` and its further arguments; else ``ResultError``."""
    name, *arguments = (claim.check or "").split()
    module, _, function = name.partition(".")
    try:
        found = getattr(importlib.import_module(f"{__package__}.checks.{module}"), function)
    except (ImportError, AttributeError) as error:
        raise ResultError(f"{claim.id} names a check that does not exist: {name}") from error
    return found, arguments


def run_check(claim: Claim, evidence: Evidence) -> tuple[Verdict | None, Figures]:
    """Verdict and figures of a claim's check or expressions; nothing without either."""
    if claim.check is None:
        names: dict[str, Any] = {verdict: verdict for verdict in VERDICTS}
        for name, text in {**claim.figures, "": claim.verdict or "None"}.items():
            names[name] = evaluate(text, evidence.paper, evidence.audit, names)
        return names.pop(""), {name: names[name] for name in claim.figures}
    function, arguments = check_function(claim)
    sources = {"paper": evidence.paper, "audit": evidence.audit}
    needed = [sources[n] for n in inspect.signature(function).parameters if n in sources]
    verdict, figures = function(*needed, *arguments)
    return verdict, figures


def build_entry(claim: Claim, reading: Reading | None, evidence: Evidence) -> Entry:
    """One line, from its check, its reading or its figures.

    Raises:
        ResultError: figures of the audit that are no numbers, no verdict on a statement, a verdict
            on a finding, or no sentence.
    """
    try:
        verdict, figures = run_check(claim, evidence)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise ResultError(
            f"{claim.id} cannot be computed from released_audit.json ({error}): take the committed"
            " file, or measure again with `attm claims --released DIR --commit-audit`"
        ) from error
    if claim.kind == "read" and reading is not None:
        verdict = reading.verdict
    reason = _reason(claim, reading, verdict, figures, evidence)
    if (verdict is None) != claim.is_finding or (verdict or "holds") not in VERDICTS or not reason:
        raise ResultError(
            f"{claim.id} needs a sentence and, unless a finding, a verdict: {verdict}"
        )
    proof, line = _proof(claim)
    places = reading.places if reading else ()
    mini = mini_sentence(claim.mini, evidence.mini) if claim.mini else ""
    return Entry(claim, verdict, reason, figures, proof, line, _basis(claim), places, mini)


def _reason(
    claim: Claim,
    reading: Reading | None,
    verdict: Verdict | None,
    figures: Figures,
    evidence: Evidence,
) -> str:
    found = claim.found
    template = found if isinstance(found, str) else found.get(str(verdict), found["otherwise"])
    try:
        text = template.format(paper=evidence.paper, audit=evidence.audit, **figures)
    except (KeyError, IndexError, ValueError, InputError, ResultError) as error:
        raise ResultError(
            f"the sentence of {claim.id} does not fit its figures: {error}"
        ) from error
    return f"{text.strip()} {reading.found.strip() if reading else ''}".strip()


def _proof(claim: Claim) -> tuple[str, int]:
    if claim.check is not None:
        function, _ = check_function(claim)
        path = FOLDER / "checks" / f"{function.__module__.rpartition('.')[2]}.py"
        return f"{path.as_posix()}#{function.__name__}", inspect.getsourcelines(function)[1]
    file = CLAIMS_FILE if claim.figures or claim.verdict or claim.found else READINGS_FILE
    lines = file.read_text(encoding="utf-8").splitlines()
    line = next(n for n, text in enumerate(lines, 1) if text.strip() == f"{claim.id}:")
    return f"{(FOLDER / file.name).as_posix()}#{claim.id}", line


def _basis(claim: Claim) -> str:
    uses = set(inspect.signature(check_function(claim)[0]).parameters) if claim.check else set()
    text = f"{claim.found} {claim.figures} {claim.verdict}"
    if "audit" in uses or "audit[" in text or "audit." in text:
        return BASES[1]
    return BASES[0] if claim.check or claim.found or claim.verdict else BASES[2]


def build_ledger(evidence: Evidence) -> list[Entry]:
    """All lines as in ``claims.yaml``; ``ResultError`` if one lacks a verdict or a sentence."""
    claims, readings = load_claims(), load_readings()
    if unknown := sorted(set(readings) - set(claims)):
        raise ResultError(f"readings without a claim: {', '.join(unknown)}")
    return [build_entry(c, readings.get(c.id), evidence) for c in claims.values()]


def count_verdicts(entries: list[Entry]) -> dict[str, dict[str, int]]:
    """Lines by kind and verdict; findings have none."""
    counts = Counter((entry.claim.kind, entry.verdict) for entry in entries)
    table: dict[str, dict[str, int]] = {
        kind: {verdict: counts[kind, verdict] for verdict in VERDICTS}
        for kind in KINDS
        if kind != "finding"
    }
    return {**table, "finding": {"found": counts["finding", None]}}


def write_ledger(entries: list[Entry], evidence: Evidence, path: Path) -> Path:
    """Write ``claims.json`` atomically: counts, lines and what they were computed from.

    The same evidence gives the same bytes. Values of the mini study are left out, so that the file
    does not depend on a run; the page shows them beside the lines.
    """
    document = {
        "claims": {entry.claim.id: entry.to_dict() for entry in entries},
        "counts": count_verdicts(entries),
        "sources": {name: vars(source) for name, source in load_sources().items()},
        "release_audit": evidence.audit["provenance"],
    }
    return write_json(path, document)
