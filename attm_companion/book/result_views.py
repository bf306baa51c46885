"""Results as tables and pictures: ours beside the paper's, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from attm_companion.book.numbers import Number, number_of
from attm_companion.study.results import Result

METRIC_NAMES = {
    "fad": "FAD-CLAP ↓",
    "clap": "CLAP ↑",
    "reward": "Reward ↑",
    "ccs": "CCS ↑",
    "quality": "True quality ↑",
    "utility": "True utility ↑",
    "level_dbfs": "Level, dBFS",
    "clipped": "Clipped",
    "score_r": "Score-r ↑",
    "delta_out": "Δ_out ↑",
    "vocals": "Voice, dB",
    "fad_infinity": "FAD∞ ↓",
    "kad": "KAD ↓",
    "mad": "MAD ↓",
    "density": "Density ↑",
    "coverage": "Coverage ↑",
}


def comparison(
    result: Result,
    rows: Mapping[str, str],
    metrics: Sequence[str] = ("fad", "clap", "reward", "ccs"),
    paper: bool = True,
) -> pd.DataFrame:
    """A line per row: each metric with its 95 % interval, the paper's value and the difference.

    Args:
        result: the table of an experiment.
        rows: label → row, e.g. ``{"+ Expert iteration": "row2", "Sub. 2": "row4 with seed 55"}``.
        metrics: which columns to show; one that a row lacks stays empty.
        paper: whether to show the paper's values. They are left out, whatever is asked, where the
            study was changed in more than its training seed: then they are of another system.
    """
    paper = paper and is_the_papers(result)
    lines: dict[str, dict[str, Number | None]] = {}
    for label, row in rows.items():
        line = lines.setdefault(label, {})
        for metric in metrics:
            found = result.find(f"{metric} of {row}")
            fields = {"": None, " paper": "paper", " difference": "difference"}
            for words, field in fields.items() if paper else [("", None)]:
                known = bool(found) and (field is None or found[0].paper is not None)
                form = "+.3f" if field == "difference" else ""
                cell = number_of(result, found[0], form, field) if known else None
                line[METRIC_NAMES.get(metric, metric) + words] = cell
    return (
        pd.DataFrame.from_dict(lines, orient="index").rename_axis("row").dropna(axis=1, how="all")
    )


def is_the_papers(result: Result) -> bool:
    """Whether the paper's values are of the same system: nothing but the seed was changed."""
    return set(result.provenance.get("changed", ())) <= {"seed"}


def tests_table(
    result: Result, query: str = "", rows: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """The paired tests of an experiment: difference with interval, p, n and verdict.

    ``query`` says which, all if empty; ``rows`` are label → row, as in `comparison`, and a row
    without a label keeps its name.
    """
    named = {row: label for label, row in (rows or {}).items()}
    tests = result.frame[result.frame["p"].notna()]
    tests = tests.query(query) if query else tests
    lines: dict[str, dict[str, Any]] = {}
    for place in tests.index:
        value = result.values[place]
        name = METRIC_NAMES.get(value.metric, value.metric).rstrip(" ↑↓")
        pair = " − ".join(named.get(row, row) for row in (value.row, value.against))
        lines[f"{name}: {pair}"] = {
            "difference [95 %]": number_of(result, value, "+.3f"),
            "p": p_text(value.p or 0.0),
            "test": value.test.removeprefix("paired t, "),
            "n": value.n,
            "verdict": value.verdict,
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def p_text(p: float) -> str:
    r"""A p-value as it is printed.

    >>> p_text(0.03566), p_text(2e-15), p_text(1.0)
    ('0.0357', '<\xa00.0001', '1.0000')
    """
    return f"{p:.4f}" if p >= 1e-4 else "<\u00a00.0001"


def plot_curve(axes: Axes, points: pd.DataFrame, label: str) -> None:
    """One curve of a sweep with its 95 % band, from lines of a result with ``s``."""
    points = points.sort_values("s")
    line = axes.plot(points["s"], points["value"], label=label)[0]
    axes.fill_between(points["s"], points["low"], points["high"], color=line.get_color(), alpha=0.2)


def plot_intervals(axes: Axes, result: Result, rows: Mapping[str, str], metric: str) -> None:
    """One metric of several rows as points with 95 % bars, the paper's values as crosses."""
    values = [result[f"{metric} of {row}"] for row in rows.values()]
    places = np.arange(len(values))[::-1]
    for place, value in zip(places, values, strict=True):
        low = value.value if value.low is None else value.low
        high = value.value if value.high is None else value.high
        axes.plot([low, high], [place, place], color="#0072B2", marker="", linewidth=2)
    ours = [value.value for value in values]
    axes.plot(ours, places, "o", color="#0072B2", label="this study, 95 %")
    paper = [np.nan if value.paper is None else value.paper for value in values]
    if is_the_papers(result):
        axes.plot(paper, places, "x", color="#D55E00", label="paper")
    axes.set_yticks(places, list(rows))
    axes.set_xlabel(METRIC_NAMES.get(metric, metric))
