"""Result files as tables and pictures: ours beside the paper's, with intervals."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pydantic

from attm_companion.study.profile import Generation, load_profile
from attm_companion.study.results import Result, Value
from attm_companion.study.study import Study
from attm_core.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRIC_NAMES = {
    "fad": "FAD-CLAP ↓",
    "clap": "CLAP ↑",
    "reward": "Reward ↑",
    "score_r": "Score-r ↑",
    "delta_out": "Δ_out ↑",
}


def open_study(profile: str, seed: int | None = None, **generation: Any) -> Study:
    """The study of a profile, or one beside it with other numbers.

    A study that differs from its profile gets a name of its own, so that its result files never
    take the place of the profile's.

    Args:
        profile: name of a profile.
        seed: training seed; the profile's own if None.
        generation: fields of `Generation` to change, such as ``s``, ``w`` or ``n_prompts``.

    Raises:
        ConfigError: unknown profile, or an unknown or ill-typed field.
    """
    base = load_profile(profile)
    try:
        changed = Generation.model_validate({**base.generation.model_dump(), **generation})
    except pydantic.ValidationError as error:
        raise ConfigError(f"generation of {profile!r}: {error}") from error
    if changed == base.generation and seed in (None, base.seed):
        return Study(base)
    facts = f"{seed}{changed.model_dump_json()}"
    name = f"{profile}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}"
    return Study(base.model_copy(update={"generation": changed, "name": name}), seed)


def comparison(
    result: Result, rows: Mapping[str, str], metrics: Sequence[str] = ("fad", "clap", "reward")
) -> pd.DataFrame:
    """A line a row: each metric with its 95 % interval, the paper's value and the difference.

    Args:
        result: an experiment's values.
        rows: label → key without the metric, e.g. ``{"+ Expert iteration": "table2.row2"}``.
        metrics: which columns to show.
    """
    lines = {}
    for label, key in rows.items():
        line: dict[str, Any] = {}
        for metric in metrics:
            value = result.values.get(f"{key}.{metric}")
            line.update(_cells(METRIC_NAMES.get(metric, metric), value))
        lines[label] = line
    frame = pd.DataFrame.from_dict(lines, orient="index")
    frame.index.name = "row"
    return frame


def _cells(name: str, value: Value | None) -> dict[str, str | None]:
    if value is None:
        return {name: None, f"{name} paper": None, f"{name} difference": None}
    interval = "" if value.low is None else f" [{value.low:.3f}, {value.high:.3f}]"
    cells: dict[str, str | None] = {name: f"{value.value:.3f}{interval}"}
    if value.paper is None:
        return {**cells, f"{name} paper": None, f"{name} difference": None}
    difference = f"{value.value - value.paper:+.3f}"
    return {**cells, f"{name} paper": f"{value.paper:.3f}", f"{name} difference": difference}


def tests_table(result: Result, prefix: str) -> pd.DataFrame:
    """The paired tests below a prefix: difference, interval, p and mark."""
    lines = {}
    for key, value in result.values.items():
        if not key.startswith(prefix) or f"{key}.p" not in result.values:
            continue
        lines[key.removeprefix(prefix)] = {
            "difference": value.value,
            "95 %": f"[{value.low:.3f}, {value.high:.3f}]",
            "p": p_text(result[f"{key}.p"].value),
            "n": value.n,
            "verdict": value.verdict,
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def p_text(p: float) -> str:
    """A p-value as it is printed.

    >>> p_text(0.03566), p_text(2e-15), p_text(1.0)
    ('0.0357', '< 0.0001', '1.0000')
    """
    return f"{p:.4f}" if p >= 1e-4 else "< 0.0001"


def curve(result: Result, prefix: str, metric: str) -> pd.DataFrame:
    """Points of a sweep: columns ``s``, ``value``, ``low``, ``high``, in the order of s."""
    points = []
    for key, value in result.values.items():
        if key.startswith(f"{prefix}.s") and key.endswith(f".{metric}"):
            s = float(key.removeprefix(f"{prefix}.s").removesuffix(f".{metric}"))
            points.append({"s": s, "value": value.value, "low": value.low, "high": value.high})
    return pd.DataFrame(points).sort_values("s", ignore_index=True)


def plot_curve(axes: Axes, points: pd.DataFrame, label: str) -> None:
    """One curve of a sweep with its 95 % band."""
    line = axes.plot(points["s"], points["value"], label=label)[0]
    axes.fill_between(points["s"], points["low"], points["high"], color=line.get_color(), alpha=0.2)


def plot_intervals(axes: Axes, result: Result, rows: Mapping[str, str], metric: str) -> None:
    """One metric of several rows as points with 95 % bars, the paper's values as crosses."""
    values = [result[f"{key}.{metric}"] for key in rows.values()]
    places = np.arange(len(values))[::-1]
    for place, value in zip(places, values, strict=True):
        low = value.value if value.low is None else value.low
        high = value.value if value.high is None else value.high
        axes.plot([low, high], [place, place], color="#0072B2", marker="", linewidth=2)
    ours = [value.value for value in values]
    axes.plot(ours, places, "o", color="#0072B2", label="this study, 95 %")
    paper = [np.nan if value.paper is None else value.paper for value in values]
    axes.plot(paper, places, "x", color="#D55E00", label="paper")
    axes.set_yticks(places, list(rows))
    axes.set_xlabel(METRIC_NAMES.get(metric, metric))
