"""``attm claims``: run every check, print the counts, write the ledger."""

import argparse

from attm_companion.ledger.evidence import VERDICTS, gather
from attm_companion.ledger.ledger import Entry, build_ledger, count_verdicts, write_ledger
from attm_core.errors import InputError
from attm_core.files import write_json


def run_claims(args: argparse.Namespace) -> int:
    """Build the ledger, write ``claims.json`` and print the counts.

    Raises:
        ResultError: a line lacks a verdict or a sentence.
        InputError: ``--show`` names no verdict.
        AssetError: ``--released`` names a folder without the release.
    """
    if args.show not in (None, *VERDICTS):
        raise InputError(f"--show {args.show}: choose one of {', '.join(VERDICTS)}")
    evidence = gather(args.released, args.results)
    entries = build_ledger(evidence)
    path = write_ledger(entries, evidence, args.results / "claims.json")
    if args.commit_audit and evidence.audit.measured_now:
        write_json(args.results / "released_audit.json", evidence.audit.figures)
    print(describe(entries, args.show))
    print(f"written: {path}")
    return 0


def describe(entries: list[Entry], verdict: str | None = None) -> str:
    """Counts by kind and verdict, and the lines with one verdict if asked."""
    lines = [
        f"{kind:9} {sum(counts.values()):4}: {', '.join(f'{v} {n}' for v, n in counts.items())}"
        for kind, counts in count_verdicts(entries).items()
    ]
    shown = [entry for entry in entries if verdict and entry.verdict == verdict]
    lines += [f"{entry.claim.id} {entry.claim.statement}\n    {entry.reason}" for entry in shown]
    return "\n".join(lines)
