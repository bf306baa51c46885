"""What a check may look at, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from attm_companion.ledger.release.audit import Audit, available_audit
from attm_companion.paper_numbers import Paper, load_paper
from attm_companion.study.result_files import read_table
from attm_core.errors import InputError

Verdict = Literal["holds", "holds_loosely", "contradicted", "ambiguous", "not_checkable_here"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
CLAIMS_FILE = Path(__file__).with_name("claims.yaml")
READINGS_FILE = Path(__file__).with_name("readings.yaml")

Figure = float | int | str | bool


@dataclass(frozen=True)
class Claim:
    """A statement of the paper or its repository.

    Attributes:
        id: ``C01`` … ; findings of ours from ``C130``.
        where: section, table, figure, footnote or page.
        section: key of the ledger's section filter.
        kind: ``"a"`` arithmetic, ``"b"`` public release, ``"c"`` only by running, ``"ab"`` both.
        statement: in our words.
        mini: patterns of the names of values of the mini study that bear on it.
    """

    id: str
    where: str
    section: str
    kind: str
    statement: str
    mini: tuple[str, ...] = ()

    @property
    def is_finding(self) -> bool:
        """Whether the statement is ours, derived from the paper's."""
        return int(self.id[1:]) >= 130


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        verdict: on the statement as the paper prints it.
        reason: one sentence.
        figures: what was computed, by name.
    """

    verdict: Verdict
    reason: str
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """What a page or a piece of public code says where no figure decides; see ``readings.yaml``."""

    paper: str
    release: str
    same: Literal["yes", "partly", "no", "unclear", "absent"]
    source: str
    note: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that checks read: nothing else enters a verdict.

    Attributes:
        paper: the transcription.
        audit: summary figures of the public release, computed now (A) or last committed (B).
        readings: public pages and code, by claim.
        mini: lines of the mini study's tables by name (``"cumulative: fad of row4"``); empty where
            it was not run.
    """

    paper: Paper
    audit: Audit
    readings: Mapping[str, Reading]
    mini: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def mini_values(self, patterns: tuple[str, ...]) -> dict[str, Mapping[str, Any]]:
        """Values of the mini study whose name fits one of ``patterns`` (``*`` is any text)."""
        return {
            name: value
            for name, value in self.mini.items()
            if any(fnmatchcase(name, pattern) for pattern in patterns)
        }


@cache
def load_claims(path: Path = CLAIMS_FILE) -> dict[str, Claim]:
    """The statements, by id, in order.

    Raises:
        InputError: a field is missing or unknown.
    """
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        return {
            name: Claim(name, **{**node, "mini": tuple(node.get("mini", ()))})
            for name, node in tree.items()
        }
    except TypeError as error:
        raise InputError(f"{path.name} is malformed: {error}") from error


@cache
def load_readings(path: Path = READINGS_FILE) -> dict[str, Reading]:
    """The readings, by claim id.

    Raises:
        InputError: a field is missing or unknown.
    """
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        return {name: Reading(**node) for name, node in tree.items()}
    except TypeError as error:
        raise InputError(f"{path.name} is malformed: {error}") from error


def load_mini(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Lines of all tables in ``folder`` by experiment and query; empty if there is none."""
    tables = [read_table(path, folder.name) for path in sorted(folder.glob("*.csv"))]
    return {
        f"{table.experiment}: {name}": asdict(value)
        for table in tables
        for name, value in table.named.items()
    }


def gather(
    released: Path | None = None, results: Path = Path("results"), paper: Paper | None = None
) -> Evidence:
    """Collect the evidence: the release if it is here, committed results otherwise.

    Args:
        released: folder of the public release; ``ATTM_RELEASED_DIR`` if None.
        results: folder of committed results.
        paper: the transcription; the committed one if None.
    """
    audit = available_audit(released, results / "released_audit.json")
    return Evidence(paper or load_paper(), audit, load_readings(), load_mini(results / "mini"))
