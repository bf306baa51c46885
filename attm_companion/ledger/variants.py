"""As written against as released: where the public code departs, and what the mini study saw."""

from __future__ import annotations

from typing import Any

import pandas as pd

from attm_companion.ledger.evidence import Claim, Evidence, load_claims

START = "variants: * of "
REPOSITORIES = ("HP ", "GC ", "TJ ", "TF ")
NOT_RUN = "not run in the mini study"


def variant_table(evidence: Evidence) -> pd.DataFrame:
    """One row a departure of the release from the text, with the mini study's changes beside it.

    Columns: as written, as released, change in CLAP, change in Reward (mean and 95 % interval of
    the paired difference from the inference as written, where the mini study ran the variant).
    """
    departures = {
        claim_id: reading
        for claim_id, reading in evidence.readings.items()
        if reading.same in ("no", "partly") and reading.source.startswith(REPOSITORIES)
    }
    claims = load_claims()
    rows = {
        claim_id: {
            "as written": reading.paper,
            "as released": reading.release,
            "change in CLAP": _change(evidence, claims[claim_id], "clap"),
            "change in Reward": _change(evidence, claims[claim_id], "reward"),
        }
        for claim_id, reading in departures.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").sort_index()
    table.index.name = "claim"
    return table


def _change(evidence: Evidence, claim: Claim, metric: str) -> str:
    variants = [name.removeprefix(START) for name in claim.mini if name.startswith(START)]
    names = [f"variants: {metric} of {variant} against as_written" for variant in variants]
    found = [evidence.mini[name] for name in names if name in evidence.mini]
    return "; ".join(_text(value) for value in found) if found else NOT_RUN


def _text(value: Any) -> str:
    interval = f"[{value['low']:+.3f}, {value['high']:+.3f}]"
    return f"{value['value']:+.3f} {interval}: {value.get('verdict', '')}".rstrip(": ")
