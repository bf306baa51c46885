"""Statements, what was found on each, and all that a check may look at."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import yaml

from attm_companion.ledger.mini_values import load_mini
from attm_companion.ledger.release.audit import Audit, open_audit
from attm_companion.paper_numbers import Paper, load_paper
from attm_companion.study.results import Result as StudyResult
from attm_core.errors import InputError

Verdict = Literal["holds", "holds_loosely", "contradicted", "ambiguous", "not_checkable_here"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Kind = Literal["computed", "read", "finding"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CLAIMS_FILE = Path(__file__).with_name("claims.yaml")
READINGS_FILE = Path(__file__).with_name("readings.yaml")

Figure = float | int | str | bool
Figures = dict[str, Figure]
Result = tuple[Verdict | None, Figures]  # of a check; a finding has no verdict

_PLACE = re.compile(
    r'^(?P<source>\w+) (?P<path>\S+)( L(?P<first>\d+)(-(?P<last>\d+))?)?( "(?P<words>.+)")?$'
)


@dataclass(frozen=True)
class Claim:
    """A statement of the paper or its repository, or a finding of ours."""

    id: str  # ``C01`` … ; findings of ours from ``C130``
    where: str  # section, table, figure, footnote or page
    section: str  # key of the ledger's section filter
    decided_by: str  # ``"a"`` arithmetic, ``"b"`` public release, ``"c"`` only running the system
    statement: str  # in our words; of a finding, its title
    check: str | None = None  # its module, function and arguments, if there is one
    figures: Mapping[str, str] = field(default_factory=dict)  # expressions; each may use earlier
    verdict: str | None = None  # an expression of a verdict
    found: str | Mapping[str, str] = ""  # template of the figures' sentence, or one per verdict
    mini: str = ""  # template of a sentence with values of the mini study

    @property
    def is_finding(self) -> bool:
        """Whether it is a finding of ours: the paper makes no such statement."""
        return int(self.id[1:]) >= 130

    @property
    def kind(self) -> Kind:
        """Finding, computed or read: how a verdict came about, if there is one."""
        if self.is_finding:
            return "finding"
        return "computed" if self.check or self.verdict else "read"


@dataclass(frozen=True)
class Source:
    """A public page or repository; without a commit it could not be read."""

    name: str
    url: str
    commit: str = ""
    date: str = ""


@dataclass(frozen=True)
class Place:
    """Where something stands: source, file or section, lines, and the words there."""

    source: str
    path: str
    first: int | None = None
    last: int | None = None
    words: str = ""

    def url(self, source: Source) -> str:
        """Address of the line at the commit that was read."""
        if not source.commit:
            return source.url
        lines = f"#L{self.first}" + (f"-L{self.last}" if self.last else "") if self.first else ""
        return f"{source.url}/blob/{source.commit}/{self.path}{lines}"


@dataclass(frozen=True)
class Reading:
    """What a person read in public places; without a verdict, proof beside a computation."""

    places: tuple[Place, ...]
    verdict: Verdict | None = None
    found: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that checks and readers looked at: nothing else enters a verdict."""

    paper: Paper  # the transcription
    audit: Audit  # summary figures of the public release, computed now or last committed
    mini: Mapping[str, StudyResult] = field(default_factory=dict)  # by experiment, if it was run


def _malformed(path: Path, error: Exception) -> InputError:
    return InputError(f"{path.name} is malformed: {error}; compare it with the committed file")


@cache
def load_claims(path: Path = CLAIMS_FILE) -> dict[str, Claim]:
    """The statements by id; raises ``InputError`` if a field is missing or unknown."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        return {name: Claim(name, **node) for name, node in tree.items()}
    except TypeError as error:
        raise _malformed(path, error) from error


@cache
def load_readings(path: Path = READINGS_FILE) -> dict[str, Reading]:
    """The readings, by claim id; ``InputError`` at a field or place that is wrong."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))["readings"]
    try:
        return {
            name: Reading(**{**node, "places": tuple(map(parse_place, node["places"]))})
            for name, node in tree.items()
        }
    except (TypeError, KeyError) as error:
        raise _malformed(path, error) from error


@cache
def load_sources(path: Path = READINGS_FILE) -> dict[str, Source]:
    """The public sources by abbreviation."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))["sources"]
    return {name: Source(**node) for name, node in tree.items()}


def parse_place(text: str) -> Place:
    """``SOURCE path L5-7 "words"`` as a place; lines and words may be missing.

    >>> parse_place('HP run.py L63 "SUBMISSION_CFG = 4.0"').first
    63

    Raises:
        InputError: another form, or an unknown source.
    """
    match = _PLACE.match(text)
    if match is None or match["source"] not in load_sources():
        raise InputError(f'{text!r} is not a place: write SOURCE path L5-7 "words"')
    first, last = (int(match[name]) if match[name] else None for name in ("first", "last"))
    return Place(match["source"], match["path"], first, last, match["words"] or "")


def gather(released: Path | None = None, results: Path = Path("results")) -> Evidence:
    """Collect the evidence: the release if it is here, committed results otherwise.

    The release is looked for in ``released``, else in ``ATTM_RELEASED_DIR``.
    """
    audit, _ = open_audit(released, results / "released_audit.json")
    return Evidence(load_paper(), audit, load_mini(results / "mini"))
