"""Result files: ``results/<profile>/<experiment>.csv``, and a JSON of its provenance beside it.

Provenance is configuration, code, data, environment, machine and date.
"""

import csv
import hashlib
import io
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from attm_companion.study.results import COLUMNS, TEXT, WHOLE, Result, Value
from attm_core.errors import InputError, ResultError
from attm_core.files import read_json, sha256_file, write_json, write_text

ROOT = Path(__file__).resolve().parents[2]
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
    for line in lines:
        told = {k: f"{v:.{digits}g}" if isinstance(v, float) else v for k, v in line.items()}
        writer.writerow(told)
    return write_text(path, text.getvalue())


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
    """Read the result of an experiment; ``ResultError`` if missing, or as `read_table`."""
    path = result_path(profile, experiment)
    if not path.exists():
        raise ResultError(f"{path} is missing; run `attm study --profile {profile}`")
    return read_table(path, profile)


def read_table(path: Path, profile: str) -> Result:
    """Read a table and its provenance; raises ``ResultError`` if it is malformed or has none."""
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
        known = ", ".join(sorted({path.parent.name for path in folder.parent.glob("*/*.csv")}))
        raise ResultError(
            f"{folder} holds no results; there are: {known or 'none'}; run `attm study --profile"
            f" {name.partition('+')[0]}`, with --set or --seed where more is in the name"
        )
    return found


def results_hash(folder: Path) -> str:
    """SHA-256 over the tables of a folder; times, dates and hardware are left out."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in MEASURED:
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def provenance(config_uid: str, data_hash: str) -> dict[str, Any]:
    """The facts that go with every result file.

    ``config_uid`` is the identity of the configuration behind the values, ``data_hash`` that of the
    corpus they were computed on.
    """
    return {
        "config_uid": config_uid,
        "data_hash": data_hash,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **environment(),
    }


@cache
def environment() -> dict[str, Any]:
    """Code commit, lock hash and hardware; the same for all results of a process."""
    lock = ROOT / "requirements.lock"
    return {
        "code_commit": code_commit(),
        "lock_hash": sha256_file(lock)[:16] if lock.exists() else "unknown",
        "hardware": hardware(),
        "python": platform.python_version(),
    }


def code_commit() -> str:
    """The commit of the working tree, with ``+changes`` if code differs from it."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return "unknown"
    changed = _git("status", "--porcelain", "--", "attm_core", "attm_companion", "notebooks")
    return commit + ("+changes" if changed else "")


def hardware() -> str:
    """Processor, cores, memory and the number format of its fast products, in words."""
    from attm_core.precision import fast_dtype  # loads torch

    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    precision = str(fast_dtype()).removeprefix("torch.")
    return f"{_processor()}, {os.cpu_count()} cores, {memory_gb:.0f} GiB, {precision}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    named = re.search(r"^model name.*?: *(.*\S)", info.read_text() if info.exists() else "", re.M)
    return named[1] if named else platform.processor() or platform.machine()


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ("git", *words), cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
