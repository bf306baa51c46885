"""What a number is: a line of one long table, with its interval, the paper's value and its origin.

An experiment has two files: ``results/<profile>/<experiment>.csv`` holds a line per number, and
``<experiment>.json`` beside it says where they came from. Two runs of the same command give the
same CSV bytes; only the provenance (date, times, hardware, commit) differs.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pandas as pd

from attm_core.errors import ResultError
from attm_core.evaluation.statistics import Interval, PairedTest

QUERY = re.compile(
    r"^(?P<metric>\S+) of (?P<row>.+?)(?: at s=(?P<s>\S+))?(?: against (?P<against>.+?))?"
    r"(?: with seed (?P<seed>\d+)| over all (?P<all>seeds))?(?: trained with (?P<trained>\d+))?$"
)


@dataclass(frozen=True, kw_only=True)
class Value:
    """One number of the study: one line of the table."""

    row: str  # what was measured: a model, a cell of a table, a part
    against: str = ""  # the row it is a difference from; empty if it is no difference
    s: float | None = None  # input score of the generation
    training_seed: int | None = None  # None for a mean over several
    generation_seed: int | None = None  # None for a mean over several, or without one
    metric: str  # "fad", "clap", "reward", …
    value: float
    low: float | None = None  # end of its 95 % interval, if it has one
    high: float | None = None
    over: str = ""  # what the interval is over: "prompts", "generation seeds", …
    n: int | None = None  # how many items it was computed from
    unit: str  # "cosine", "reward", "FAD", "dB", "s", "1", …
    paper: float | None = None  # the paper's number for the same quantity, if it prints one
    test: str = ""  # the test behind `p`
    p: float | None = None
    verdict: str = ""  # what the comparison says, in a few words

    @property
    def place(self) -> tuple[Any, ...]:
        """What no other line of its table shares."""
        seeds = (self.generation_seed, self.training_seed)
        return (self.row, self.against, self.metric, self.s, *seeds)


COLUMNS = ("experiment", *(entry.name for entry in fields(Value)))
TEXT = ("row", "against", "metric", "over", "unit", "test", "verdict")
WHOLE = ("training_seed", "generation_seed", "n")


@dataclass
class Result:
    """The table of one experiment, and where it came from."""

    experiment: str
    profile: str
    values: list[Value] = field(default_factory=list)
    # Stage, code commit, data and lock hash, hardware, date, wall time, and what differs from the
    # profile.
    provenance: dict[str, Any] = field(default_factory=dict)
    training_seed: int | None = field(default=None, compare=False)  # of values added from now on

    def add(self, row: str, metric: str, value: float, unit: str, **facts: Any) -> None:
        """Add one line; ``facts`` are other fields of `Value`.

        Raises:
            ResultError: the line is there already, or a number of it is not finite.
        """
        facts = {"training_seed": self.training_seed, **facts}
        line = Value(row=row, metric=metric, value=float(value), unit=unit, **facts)
        where = f"{self.experiment}: {metric} of {row}"
        if any(line.place == other.place for other in self.values):
            raise ResultError(f"{where} is given twice")
        for name in ("value", "low", "high", "paper", "p"):
            number = getattr(line, name)
            if number is not None and not math.isfinite(number):
                raise ResultError(f"{where}: {name} is {number}")
        self.values.append(line)

    def add_interval(
        self, row: str, metric: str, interval: Interval, unit: str, **facts: Any
    ) -> None:
        """Add an estimate with its interval, over prompts if nothing else is said."""
        ends = {"low": interval.low, "high": interval.high, "over": "prompts"}
        self.add(row, metric, interval.estimate, unit, **{**ends, **facts})

    def add_test(
        self, row: str, against: str, metric: str, test: PairedTest, unit: str, **facts: Any
    ) -> None:
        """Add a paired difference, row minus ``against``, with its test."""
        named = {"test": f"paired t, {test.alternative}", "p": test.p, "n": test.n}
        self.add_interval(row, metric, test.difference, unit, against=against, **named, **facts)

    def __getitem__(self, query: str) -> Value:
        """The line that a query names: ``"reward of row2"``, ``"reward of sft at s=2"``.

        In full: METRIC of ROW [at s=S] [against OTHER] [with seed N | over all seeds] [trained with
        N]. Where only seeds differ and none is named, the first line counts: Sub. 1's.

        Raises:
            ResultError: malformed, no such line, or several that differ in s.
        """
        found = self.find(query)
        if not found:
            raise ResultError(f"{self.experiment} of {self.profile} has no '{query}'")
        if len({line.s for line in found}) > 1:
            listed = ", ".join(f"{line.s:g}" for line in found if line.s is not None)
            raise ResultError(f"{self.experiment}: '{query}' is there at s = {listed}; say which")
        return found[0]

    def find(self, query: str) -> list[Value]:
        """All lines that a query names; see `__getitem__`."""
        match = QUERY.match(query.strip())
        if match is None:
            raise ResultError(
                f"'{query}' is not of the form METRIC of ROW [at s=S] [against OTHER] "
                "[with seed N | over all seeds]"
            )
        wanted = {"row": match["row"], "metric": match["metric"], "against": match["against"] or ""}
        if match["s"]:
            wanted["s"] = float(match["s"])
        if match["seed"] or match["all"]:
            wanted["generation_seed"] = int(match["seed"]) if match["seed"] else None
        if match["trained"]:
            wanted["training_seed"] = int(match["trained"])
        return [
            line
            for line in self.values
            if all(getattr(line, name) == value for name, value in wanted.items())
        ]

    @property
    def named(self) -> dict[str, Value]:
        """Every line by the shortest query that names it."""
        return {_shortest(line, self.values): line for line in self.values}

    @property
    def frame(self) -> pd.DataFrame:
        """The table as pandas sees it; empty fields are NaN, NA or empty text."""
        frame = pd.DataFrame([asdict(line) for line in self.values], columns=COLUMNS[1:])
        numbers = [name for name in frame if name not in (*TEXT, *WHOLE)]
        return frame.astype({**dict.fromkeys(numbers, float), **dict.fromkeys(WHOLE, "Int64")})


def _shortest(line: Value, lines: Iterable[Value]) -> str:
    same = [other for other in lines if other.place[:3] == line.place[:3]]
    name = f"{line.metric} of {line.row}"
    if line.s is not None and len({other.s for other in same}) > 1:
        name += f" at s={line.s:g}"
        same = [other for other in same if other.s == line.s]
    name += f" against {line.against}" if line.against else ""
    if line is same[0]:
        return name
    if line.generation_seed != same[0].generation_seed:
        seed = line.generation_seed
        name += " over all seeds" if seed is None else f" with seed {seed}"
    trained = line.training_seed
    return name if trained == same[0].training_seed else f"{name} trained with {trained}"
