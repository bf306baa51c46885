"""What a reviewer with two minutes should read, and where we trust ourselves least."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from attm_companion.ledger.ledger import Entry

# Chosen by consequence: each changes how a headline of the paper reads, or what a re-run must do.
MATTER_MOST = (
    "C131", "C95", "C10", "C132", "C133", "C87", "C32", "C83", "C06", "C73",
)  # fmt: skip

# Each rests on something that a sentence from the authors would settle.
LEAST_SURE = {
    "C131": "Row 1 and the curve of Fig. 2 may be different SFT checkpoints",
    "C06": "the published prompt file may simply carry the wrong name",
    "C87": "the public baseline may be another run than Row 0",
    "C135": "the reference tracks may have been excluded without mention",
    "C128": "the organisers may have given participants another checkpoint",
    "C05": "instrumental may mean the separated stems of the tracks",
    "C146": "the reference of this paper may not be the ranker repository's",
    "C139": "the sweep may have used shorter runs",
}


def chosen_rows(entries: Iterable[Entry], ids: Iterable[str]) -> pd.DataFrame:
    """Statement, verdict and reason of some entries, in the order of ``ids``."""
    by_id = {entry.claim.id: entry for entry in entries}
    rows = {
        claim_id: {
            "where": by_id[claim_id].claim.where,
            "statement": by_id[claim_id].claim.statement,
            "verdict": by_id[claim_id].outcome.verdict.replace("_", " "),
            "what we found": by_id[claim_id].outcome.reason,
        }
        for claim_id in ids
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = "claim"
    return table


def matter_most(entries: Iterable[Entry]) -> pd.DataFrame:
    """The ten lines that change most."""
    return chosen_rows(entries, MATTER_MOST)


def least_sure(entries: Iterable[Entry]) -> pd.DataFrame:
    """The lines we are least sure of, with what would prove us wrong."""
    table = chosen_rows(entries, LEAST_SURE)[["statement", "verdict"]]
    table["we are wrong if"] = list(LEAST_SURE.values())
    return table
