"""What a number is: a value with unit, n, seed, interval, the paper's value and provenance.

One JSON file an experiment, ``results/<profile>/<experiment>.json``. Two runs of the same command
give the same file but for the facts of the run itself (date, times, hardware, commit), which is
what `results_hash` leaves out.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attm_core.errors import InputError, ResultError
from attm_core.files import read_json, write_json

RESULTS_VARIABLE = "ATTM_RESULTS"
SIGNIFICANT_DIGITS = 9


@dataclass(frozen=True)
class Value:
    """One number of the study.

    Attributes:
        value: the number itself.
        unit: ``"cosine"``, ``"reward"``, ``"FAD"``, ``"dB"``, ``"s"``, ``"1"``, …
        n: how many items it was computed from.
        seed: seed of the generation or training behind it.
        low: lower end of its 95 % interval, if it has one.
        high: upper end.
        paper: the paper's number for the same quantity, if it prints one.
        verdict: what the comparison says, in one word, if there is one.
    """

    value: float
    unit: str
    n: int | None = None
    seed: int | None = None
    low: float | None = None
    high: float | None = None
    paper: float | None = None
    verdict: str | None = None


@dataclass
class Result:
    """All values of one experiment, its tables for the book, and where they came from."""

    experiment: str
    profile: str
    values: dict[str, Value] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def add(self, key: str, value: float, unit: str, **facts: Any) -> None:
        """Add one value under ``key``.

        Raises:
            ResultError: the key is taken, or the value or one of its bounds is not finite.
        """
        if key in self.values:
            raise ResultError(f"{self.experiment}: value {key!r} is given twice")
        if not math.isfinite(value):
            raise ResultError(f"{self.experiment}: value {key!r} is {value}")
        for name in ("low", "high", "paper"):
            if facts.get(name) is not None and not math.isfinite(facts[name]):
                raise ResultError(f"{self.experiment}: {name} of {key!r} is {facts[name]}")
        self.values[key] = Value(float(value), unit, **facts)

    def __getitem__(self, key: str) -> Value:
        try:
            return self.values[key]
        except KeyError as error:
            raise ResultError(f"{self.experiment} has no value {key!r}") from error


def results_folder(profile: str) -> Path:
    """``results/<profile>``, below ``$ATTM_RESULTS`` if that is set."""
    return Path(os.environ.get(RESULTS_VARIABLE, "results")) / profile


def result_path(profile: str, experiment: str) -> Path:
    """Where the values of an experiment live."""
    return results_folder(profile) / f"{experiment}.json"


def write_result(result: Result) -> Path:
    """Write a result file atomically, floats rounded to nine significant digits.

    A file that holds the same values already is left alone, with the provenance of the run that
    first made them.
    """
    path, fresh = result_path(result.profile, result.experiment), _rounded(asdict(result))
    return path if _holds(path, fresh) else write_json(path, fresh)


def _holds(path: Path, fresh: dict[str, Any]) -> bool:
    """Whether a file has these values and tables, and says where they came from."""
    try:
        stored = read_json(path)
    except InputError:  # missing, or torn by hand or by a merge
        return False
    if not isinstance(stored, dict) or not stored.get("provenance"):
        return False
    return all(stored.get(part) == fresh[part] for part in ("values", "tables"))


def read_result(profile: str, experiment: str) -> Result:
    """Read a result file.

    Raises:
        ResultError: it is missing, malformed or without provenance.
    """
    path = result_path(profile, experiment)
    if not path.exists():
        raise ResultError(f"{path} is missing; run `attm study --profile {profile}`")
    try:
        raw = read_json(path)
        values = {key: Value(**value) for key, value in raw.pop("values").items()}
        result = Result(values=values, **raw)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ResultError(f"{path} is malformed: {error}") from error
    if not result.provenance:
        raise ResultError(f"{path} carries no provenance")
    return result


def results_hash(profile: str) -> str:
    """SHA-256 over all values and tables of a profile; dates, times and hardware are left out."""
    digest = hashlib.sha256()
    for path in sorted(results_folder(profile).glob("*.json")):
        raw = read_json(path)
        if raw.get("tables", {}).pop("cost", None) is not None:
            raw["values"] = {}
        kept = {key: raw.get(key) for key in ("experiment", "profile", "values", "tables")}
        digest.update(json.dumps(kept, sort_keys=True).encode())
    return digest.hexdigest()


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return value
