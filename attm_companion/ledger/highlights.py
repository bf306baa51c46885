"""What a reviewer with two minutes should read, and where we trust ourselves least."""

from collections.abc import Iterable, Mapping

import pandas as pd

from attm_companion.ledger.ledger import Entry

# Chosen by consequence: first for whoever uses the system or its ranker, then for whoever re-runs
# it or builds on its results.
MATTER_MOST = (
    "C73", "C142", "C161", "C83", "C131", "C133", "C159", "C165", "C87", "C06",
)  # fmt: skip

# Each rests on something that a sentence from the authors would settle.
LEAST_SURE = {
    "C131": "Row 1 and the curve of Fig. 2 are different SFT checkpoints",
    "C159": "one input score was used for FAD, or as many clips for the baseline",
    "C06": "the published prompt file carries the wrong name",
    "C87": "the public baseline is another run than Row 0",
    "C135": "the reference tracks were excluded without mention",
    "C128": "the organisers gave participants another checkpoint",
    "C05": "instrumental means the separated stems of the tracks",
    "C146": "the reference of this paper is not the ranker repository's",
}
RELEASED_CODE = ("HP", "GC")


def least_sure(entries: Iterable[Entry]) -> pd.DataFrame:
    """The lines we are least sure of, with what would prove us wrong."""
    table = _table({e.claim.id: e for e in entries}, LEAST_SURE)[["statement", "verdict"]].copy()
    table["we are wrong if"] = list(LEAST_SURE.values())
    return table


def departures(entries: Iterable[Entry]) -> pd.DataFrame:
    """Where the released code does something else than the text, and what the mini study saw."""
    found = {
        entry.claim.id: entry
        for entry in entries
        if entry.verdict in ("contradicted", "holds_loosely")
        and any(place.source in RELEASED_CODE for place in entry.places)
    }
    table = _table(found, found)[["statement", "what we found"]].copy()
    table["mini study"] = [entry.mini or None for entry in found.values()]
    return table


def _table(by_id: Mapping[str, Entry], ids: Iterable[str]) -> pd.DataFrame:
    rows = {
        name: {
            "statement": by_id[name].claim.statement,
            "verdict": (by_id[name].verdict or "finding").replace("_", " "),
            "what we found": by_id[name].reason,
        }
        for name in ids
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("claim")
