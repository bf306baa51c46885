"""Result files: ``results/<profile>/<experiment>.csv``, and a JSON of its provenance beside it."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from attm_companion.study.results import COLUMNS, TEXT, WHOLE, Result, Value
from attm_core.errors import InputError, ResultError
from attm_core.files import read_json, write_json, write_text

RESULTS_VARIABLE = "ATTM_RESULTS"
SIGNIFICANT_DIGITS = 9
MEASURED = ("compute",)  # experiments whose values are times: no two runs give the same


def results_folder(profile: str) -> Path:
    """``results/<profile>``, below ``$ATTM_RESULTS`` if that is set."""
    return Path(os.environ.get(RESULTS_VARIABLE, "results")) / profile


def result_path(profile: str, experiment: str) -> Path:
    """Where the table of an experiment lives."""
    return results_folder(profile) / f"{experiment}.csv"


def write_table(
    path: Path,
    columns: Iterable[str],
    lines: Iterable[Mapping[str, Any]],
    digits: int = SIGNIFICANT_DIGITS,
) -> Path:
    """Write a CSV file atomically: floats with ``digits`` significant digits, nothing for None."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _text(v, digits) for name, v in line.items()} for line in lines)
    return write_text(path, text.getvalue())


def _text(value: Any, digits: int) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def write_result(result: Result) -> Path:
    """Write both files of a result.

    A table that is there already is left alone, with the provenance of the run that first made it.
    """
    path = result_path(result.profile, result.experiment)
    origin = path.with_suffix(".json")
    before = path.read_bytes() if path.is_file() and _origin(origin) else None
    lines = [{"experiment": result.experiment, **asdict(line)} for line in result.values]
    write_table(path, COLUMNS, lines)
    if before != path.read_bytes():
        write_json(origin, result.provenance)
    return path


def _origin(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except InputError:  # missing, or torn by hand or by a merge
        return {}
    return found if isinstance(found, dict) else {}


def read_result(profile: str, experiment: str) -> Result:
    """Read the result of an experiment.

    Raises:
        ResultError: it is missing, malformed or without provenance.
    """
    path = result_path(profile, experiment)
    if not path.exists():
        raise ResultError(f"{path} is missing; run `attm study --profile {profile}`")
    return read_table(path, profile)


def read_table(path: Path, profile: str) -> Result:
    """Read a table and its provenance from a path."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ResultError(f"{path} is malformed: its columns are not {', '.join(COLUMNS)}")
            values = [_line(line) for line in reader]
    except (TypeError, ValueError, csv.Error) as error:
        raise ResultError(f"{path} is malformed: {error}") from error
    if not (provenance := _origin(path.with_suffix(".json"))):
        raise ResultError(f"{path} carries no provenance; run the study again")
    return Result(path.stem, profile, values, provenance)


def _line(line: Mapping[str, str]) -> Value:
    if None in line or None in line.values():
        raise ValueError(f"the line of {line['metric']} of {line['row']} is torn")
    kept: dict[str, Any] = {}
    for name in COLUMNS[1:]:
        text = line[name]
        if name in TEXT:
            kept[name] = text
        elif text:
            kept[name] = int(text) if name in WHOLE else float(text)
    return Value(**kept)


def read_run(name: str) -> dict[str, Result]:
    """All results of a run by experiment: a profile's, or those kept under ``replications/``.

    Raises:
        ResultError: there are none, or a file is malformed.
    """
    folder = results_folder(name)
    found = {path.stem: read_table(path, name) for path in sorted(folder.glob("*.csv"))}
    if not found:
        raise ResultError(f"{folder} holds no results; run `attm study --profile {name}`")
    return found


def results_hash(folder: Path) -> str:
    """SHA-256 over the tables of a folder; times, dates and hardware are left out."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in MEASURED:
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
