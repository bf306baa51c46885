"""The ledger: every claim with its check, figures, verdict and reason, in one file."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attm_companion.ledger.evidence import VERDICTS, Claim, Evidence, Figure, Outcome, load_claims
from attm_companion.ledger.registry import Check, all_checks
from attm_companion.ledger.release.audit import rounded
from attm_core.errors import ResultError
from attm_core.files import write_json

LEDGER_FILE = Path("results") / "claims.json"


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        claim: the statement.
        outcome: verdict, reason and figures.
        check: where the check stands, ``file#name``.
        level: ``"A"`` computed in this run, ``"B"`` from committed figures, ``"C"`` quoted.
        mini: values of the mini study that bear on it, by name; says nothing about the verdict.
    """

    claim: Claim
    outcome: Outcome
    check: str
    level: str
    mini: Mapping[str, Mapping[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "where": self.claim.where,
            "section": self.claim.section,
            "class": self.claim.kind,
            "statement": self.claim.statement,
            "finding": self.claim.is_finding,
            "check": self.check,
            "figures": rounded(dict(self.outcome.figures)),
            "verdict": self.outcome.verdict,
            "reason": self.outcome.reason,
            "level": self.level,
            "mini": mini_summary(self.mini) if self.claim.mini or self.claim.kind == "c" else None,
        }


def mini_summary(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the mini study says: values with intervals, the paper's beside them, and a sentence."""
    if not values:
        return {"sentence": "The mini study has no value on this.", "values": {}}
    kept = ("value", "low", "high", "unit", "n", "paper", "verdict")
    rows = {
        name: {key: value[key] for key in kept if value.get(key) not in (None, "")}
        for name, value in sorted(values.items())
    }
    parts = [f"{name} = {row['value']:.3g}" for name, row in rows.items()]
    more = f" and {len(parts) - 4} more" if len(parts) > 4 else ""
    return {"sentence": f"Mini study: {', '.join(parts[:4])}{more}.", "values": rounded(rows)}


class _Watched:
    """Evidence that remembers which parts of it a check used."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.used: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.used.add(name)
        return getattr(self._evidence, name)


def run_check(claim: Claim, function: Check, evidence: Evidence) -> Entry:
    """Run one check.

    Raises:
        ResultError: the check returned no sentence or an unknown verdict.
    """
    watched = _Watched(evidence)
    outcome = function(watched)  # type: ignore[arg-type]
    if outcome.verdict not in VERDICTS or not outcome.reason.strip():
        raise ResultError(f"the check of {claim.id} gave no verdict with a reason: {outcome}")
    level: str = evidence.audit.level if "audit" in watched.used else "A"
    if watched.used == {"readings"}:
        level = "C"
    return Entry(claim, outcome, check_location(function), level, evidence.mini_values(claim.mini))


def check_location(function: Check) -> str:
    """``file#name`` of a check, for links: stable when lines move."""
    module = inspect.getmodule(function)
    name = getattr(function, "__qualname__", function.__name__).split(".", 1)[0]
    return f"{(module.__name__ if module else 'unknown').replace('.', '/')}.py#{name}"


def build_ledger(evidence: Evidence) -> list[Entry]:
    """Run all checks, in the order of the claims.

    Raises:
        ResultError: a claim without check, a check without claim, or a check without verdict.
    """
    claims, checks = load_claims(), all_checks()
    if missing := sorted(set(claims) ^ set(checks)):
        raise ResultError(f"claims and checks do not match: {', '.join(missing)}")
    return [run_check(claim, checks[claim.id], evidence) for claim in claims.values()]


def count_verdicts(entries: list[Entry], findings: bool | None = None) -> dict[str, int]:
    """Entries per verdict; of the paper's claims or of our findings only, if asked."""
    chosen = [e for e in entries if findings is None or e.claim.is_finding == findings]
    counts = Counter(entry.outcome.verdict for entry in chosen)
    return {verdict: counts[verdict] for verdict in VERDICTS}


def ledger_document(entries: list[Entry], evidence: Evidence) -> dict[str, Any]:
    """The whole file: counts, entries and what they were computed from."""
    return {
        "claims": {entry.claim.id: entry.to_dict() for entry in entries},
        "counts": {
            "paper": count_verdicts(entries, findings=False),
            "findings": count_verdicts(entries, findings=True),
        },
        "provenance": {
            "release_audit": evidence.audit["provenance"],
            "release_level": evidence.audit.level,
            "mini_values": len(evidence.mini),
        },
    }


def write_ledger(entries: list[Entry], evidence: Evidence, path: Path = LEDGER_FILE) -> Path:
    """Write the ledger atomically; the same evidence gives the same bytes."""
    return write_json(path, ledger_document(entries, evidence))


def figure_text(figure: Figure) -> str:
    """A figure for a page.

    >>> figure_text(0.123456), figure_text(12), figure_text(True)
    ('0.1235', '12', 'yes')
    """
    if isinstance(figure, bool):
        return "yes" if figure else "no"
    return f"{figure:.4g}" if isinstance(figure, float) else str(figure)
