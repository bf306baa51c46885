"""What the page of open questions shows: answers with live numbers, a line per training seed."""

from collections.abc import Mapping
from string import Template

import pandas as pd
from matplotlib.axes import Axes

from attm_companion.book.numbers import filled
from attm_companion.book.tables import HtmlView, paragraph
from attm_companion.study.result_files import read_result, result_path
from attm_companion.study.results import Result
from attm_companion.tables.training_seeds import by_seed
from attm_core.errors import ResultError


def stored(run: str, experiment: str) -> Result:
    """A committed result; an empty one where there is none yet."""
    there = result_path(run, experiment).is_file()
    return read_result(run, experiment) if there else Result(experiment, run)


def answer(result: Result, text: str, **words: object) -> HtmlView:
    """A paragraph whose roles are filled from a result, or the word that it is not answered yet.

    The text is as in `filled`; ``$name`` in it stands for the word of that name.
    """
    try:
        told = filled(result, " ".join(Template(text).substitute(words).split()))
        return paragraph(f"<strong>Answer.</strong> {told}")
    except ResultError as error:
        return paragraph(f"Not answered yet: {error}.")


def sizes(result: Result, start: str) -> list[int]:
    """The numbers that end the names of rows which begin so, in order."""
    rows = {line.row for line in result.values if line.row.startswith(f"{start} ")}
    return sorted(int(row.rpartition(" ")[2]) for row in rows)


def per_seed(
    result: Result,
    rows: Mapping[float, str],
    metric: str,
    against: Mapping[float, str] | None = None,
) -> pd.DataFrame:
    """Training seed × place of a row on the axis: its value, less that of ``against`` there."""
    seeds = by_seed(result)
    columns = {
        x: seeds[row, metric] - (seeds[against[x], metric] if against else 0.0)
        for x, row in rows.items()
        if (row, metric) in seeds
    }
    return pd.DataFrame(columns)


def plot_seeds(axis: Axes, table: pd.DataFrame, label: str) -> None:
    """The mean over training seeds as a line, every seed as dots of its colour; "": no legend."""
    if table.empty:
        return
    line = axis.plot(table.columns, table.mean(), label=label)[0]
    for values in table.to_numpy():
        axis.scatter(table.columns, values, s=14, alpha=0.6, color=line.get_color())
    if label:
        axis.legend()
