"""Which function checks which claim."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attm_companion.ledger.evidence import Evidence, Outcome, Reading, Verdict, load_readings
from attm_core.errors import ConfigError

Check = Callable[[Evidence], Outcome]

CHECKS: dict[str, Check] = {}

_BY_READING: dict[str, Verdict] = {
    "yes": "holds",
    "partly": "holds_loosely",
    "no": "contradicted",
    "unclear": "ambiguous",
    "absent": "not_checkable_here",
}


def check(*claim_ids: str) -> Callable[[Check], Check]:
    """Register a function as the check of one or more claims.

    Raises:
        ConfigError: a claim has a check already.
    """

    def register(function: Check) -> Check:
        _register(claim_ids, function)
        return function

    return register


def _register(claim_ids: Iterable[str], function: Check) -> None:
    for claim_id in claim_ids:
        if claim_id in CHECKS:
            raise ConfigError(f"{claim_id} has two checks: {CHECKS[claim_id]} and {function}")
        CHECKS[claim_id] = function


def reading_outcome(reading: Reading) -> Outcome:
    """The verdict that a reading of the release supports."""
    note = f"; {reading.note}" if reading.note else ""
    if reading.same == "absent":
        reason = f"Not decidable from what is public: {reading.release}{note}."
    else:
        reason = f"Stated: {reading.paper}. Found: {reading.release}{note}."
    return Outcome(_BY_READING[reading.same], reason, {"source": reading.source})


def check_reading(claim_id: str) -> Check:
    """The check of a claim that a page or a piece of code decides."""

    def read(evidence: Evidence) -> Outcome:
        return reading_outcome(evidence.readings[claim_id])

    read.__name__ = f"reading_{claim_id}"
    read.__qualname__ = "check_reading"
    read.__module__ = __name__
    return read


def all_checks() -> dict[str, Check]:
    """Every check by claim id; importing the check modules registers them."""
    import attm_companion.ledger.checks  # noqa: F401

    readings = {
        claim_id: check_reading(claim_id) for claim_id in load_readings() if claim_id not in CHECKS
    }
    return CHECKS | readings
