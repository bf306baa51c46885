"""The checks of the ledger, one module for each part of the paper; importing registers them."""

from attm_companion.ledger.checks import (
    backbone,
    clips,
    compute,
    cross_mechanism,
    cumulative,
    expert_selection,
    head_sweep,
    inference,
    ranker,
    reference_set,
    score_sweep,
    significance,
)

__all__ = [
    "backbone",
    "clips",
    "compute",
    "cross_mechanism",
    "cumulative",
    "expert_selection",
    "head_sweep",
    "inference",
    "ranker",
    "reference_set",
    "score_sweep",
    "significance",
]
