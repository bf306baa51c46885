"""The committed evidence and the ledger that it gives, once for all tests."""

import dataclasses

import pytest

from attm_companion.ledger.evidence import Evidence, gather
from attm_companion.ledger.ledger import Entry, build_ledger
from attm_companion.study.result_files import ROOT


@pytest.fixture(scope="session")
def evidence_with_mini() -> Evidence:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ATTM_RELEASED_DIR", raising=False)
        return gather(None, ROOT / "results")


@pytest.fixture(scope="session")
def evidence(evidence_with_mini: Evidence) -> Evidence:
    return dataclasses.replace(evidence_with_mini, mini={})


@pytest.fixture(scope="session")
def entries(evidence: Evidence) -> list[Entry]:
    return build_ledger(evidence)
