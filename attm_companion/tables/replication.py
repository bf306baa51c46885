"""Two full runs of one protocol: does a second training say the same (beyond the paper).

An interval over prompts answers "would other prompts say the same of this model?". Two runs that
share protocol and seeds, on machines whose rounding differs, also answer "would another training?".
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from pathlib import Path

import pandas as pd

from attm_companion.study.results import Result, Value, read_result, results_folder
from attm_companion.tables.summary import summarize
from attm_core.errors import ResultError

Z_95 = 1.959964


def read_run(name: str) -> dict[str, Result]:
    """All results of a run: a profile's, or those kept under ``replications/``.

    Raises:
        ResultError: there are none, or a file is malformed.
    """
    names = sorted(Path(path).stem for path in results_folder(name).glob("*.json"))
    if not names:
        raise ResultError(f"{results_folder(name)} holds no results")
    return {experiment: read_result(name, experiment) for experiment in names}


def mechanisms(first: Mapping[str, Result], second: Mapping[str, Result]) -> pd.DataFrame:
    """What each run says about every mechanism of the paper, side by side."""
    ours = [summarize(run)[["effect", "95 %", "mini study"]] for run in (first, second)]
    names = ("first run", "second run")
    both = pd.concat(
        [frame.add_prefix(f"{name}: ") for name, frame in zip(names, ours, strict=True)], axis=1
    )
    both = both.rename(columns=lambda name: str(name).replace("mini study", "says"))
    both["same"] = ["yes" if a == b else "no" for a, b in _columns(ours, "mini study")]
    return both


def _columns(frames: list[pd.DataFrame], name: str) -> zip[tuple[str, str]]:
    return zip(frames[0][name], frames[1][name], strict=True)


def pairs(
    first: Mapping[str, Result], second: Mapping[str, Result], suffix: str
) -> dict[str, tuple[Value, Value]]:
    """Values of both runs that have an interval, by ``experiment: key``.

    Args:
        first: a run.
        second: another.
        suffix: what the keys end in, such as ``".reward"``; no key is taken twice.
    """
    found: dict[str, tuple[Value, Value]] = {}
    seen: set[str] = set()
    for name in sorted(set(first) & set(second)):
        for key, value in first[name].values.items():
            other = second[name].values.get(key)
            if key in seen or not key.endswith(suffix) or other is None:
                continue
            if value.low is not None and other.low is not None:
                found[f"{name}: {key}"] = (value, other)
                seen.add(key)
    return found


def z_of(first: Value, second: Value) -> float:
    """The difference of two values in units of the standard error their intervals imply.

    Raises:
        ResultError: an interval is missing or has no width.
    """
    errors = [_standard_error(value) for value in (first, second)]
    return (second.value - first.value) / sqrt(errors[0] ** 2 + errors[1] ** 2)


def _standard_error(value: Value) -> float:
    if value.low is None or value.high is None or not value.high > value.low:
        raise ResultError(f"a value of {value.value} has no interval to compare with")
    return (value.high - value.low) / (2 * Z_95)


def agreement(first: Mapping[str, Result], second: Mapping[str, Result]) -> pd.DataFrame:
    """How far apart two runs are, measured in their own intervals, a row a metric.

    Returns:
        Columns ``n``, ``beyond 1.96`` (share of values that differ by more than sampling of prompts
        explains; 0.05 if it explained all) and ``rms z`` (1 if it did).
    """
    rows = {}
    for metric in ("fad", "clap", "reward"):
        z = [z_of(*pair) for pair in pairs(first, second, f".{metric}").values()]
        beyond = sum(abs(value) > Z_95 for value in z) / len(z) if z else float("nan")
        spread = sqrt(sum(value**2 for value in z) / len(z)) if z else float("nan")
        rows[metric] = {"n": len(z), "beyond 1.96": beyond, "rms z": spread}
    return pd.DataFrame.from_dict(rows, orient="index")
