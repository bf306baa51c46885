"""``attm claims``: run every check, print the counts, write the ledger."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attm_companion.ledger.ledger import Entry


def add_parsers(subparsers: Any) -> None:
    """Add the ``claims`` command; its ``run`` default takes the parsed arguments."""
    parser = subparsers.add_parser("claims", help="check every statement of the paper")
    parser.add_argument(
        "--released",
        type=Path,
        help="folder of the public release (default: ATTM_RELEASED_DIR, else committed figures)",
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of results")
    parser.add_argument(
        "--commit-audit",
        action="store_true",
        help="also write released_audit.json, the summary that stands in where the release is not",
    )
    parser.add_argument("--show", metavar="VERDICT", help="list the lines with this verdict")
    parser.set_defaults(run=run_claims)


def run_claims(args: argparse.Namespace) -> int:
    """Build the ledger, write ``claims.json`` and print the counts.

    Raises:
        ResultError: a line lacks a verdict or a sentence.
        InputError: ``--show`` names no verdict.
        AssetError: ``--released`` names a folder without the release.
    """
    from attm_companion.ledger.evidence import VERDICTS, gather
    from attm_companion.ledger.ledger import build_ledger, write_ledger
    from attm_companion.ledger.release.audit import save_audit
    from attm_core.errors import InputError

    if args.show not in (None, *VERDICTS):
        raise InputError(f"--show {args.show}: choose one of {', '.join(VERDICTS)}")
    evidence = gather(args.released, args.results)
    entries = build_ledger(evidence)
    path = write_ledger(entries, evidence, args.results / "claims.json")
    if args.commit_audit and evidence.audit.measured_now:
        save_audit(evidence.audit, args.results / "released_audit.json")
    print(describe(entries, args.show))
    print(f"written: {path}")
    return 0


def describe(entries: list[Entry], verdict: str | None = None) -> str:
    """Counts by kind and verdict, and the lines with one verdict if asked."""
    from attm_companion.ledger.ledger import count_verdicts

    lines = [
        f"{kind:9} {sum(counts.values()):4}: {', '.join(f'{v} {n}' for v, n in counts.items())}"
        for kind, counts in count_verdicts(entries).items()
    ]
    shown = [entry for entry in entries if verdict and entry.verdict == verdict]
    lines += [f"{entry.claim.id} {entry.claim.statement}\n    {entry.reason}" for entry in shown]
    return "\n".join(lines)
