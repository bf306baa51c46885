"""``attm claims``: run every check, print the counts, write the ledger."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attm_companion.ledger.ledger import Entry

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parsers(subparsers: Subparsers) -> None:
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
    parser.add_argument("--show", metavar="VERDICT", help="list the claims with this verdict")
    parser.set_defaults(run=run_claims)


def run_claims(args: argparse.Namespace) -> int:
    """Build the ledger, write ``claims.json`` and print the counts.

    Raises:
        ResultError: a claim lacks a check or a verdict.
        AssetError: ``--released`` names a folder without the release.
    """
    from attm_companion.ledger.evidence import gather
    from attm_companion.ledger.ledger import build_ledger, write_ledger
    from attm_companion.ledger.release.audit import save_audit

    evidence = gather(args.released, args.results)
    entries = build_ledger(evidence)
    path = write_ledger(entries, evidence, args.results / "claims.json")
    if args.commit_audit and evidence.audit.level == "A":
        save_audit(evidence.audit, args.results / "released_audit.json")
    print(describe(entries, evidence.audit.level, args.show))
    print(f"written: {path}")
    return 0


def describe(entries: list[Entry], level: str, verdict: str | None = None) -> str:
    """Counts per verdict, and the claims with one verdict if asked."""
    from attm_companion.ledger.ledger import count_verdicts

    paper, ours = count_verdicts(entries, findings=False), count_verdicts(entries, findings=True)
    source = "computed from the release" if level == "A" else "release figures as last committed"
    lines = [f"{sum(paper.values())} claims and {sum(ours.values())} findings ({level}: {source})"]
    lines += [f"  {name:20} {paper[name]:4} {ours[name]:4}" for name in paper]
    lines += [
        f"{e.claim.id} [{e.claim.where}] {e.claim.statement}\n     {e.outcome.reason}"
        for e in entries
        if e.outcome.verdict == verdict
    ]
    return "\n".join(lines)
