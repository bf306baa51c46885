"""What the ledger needs of the mini study: sentences with its values. It reads them here only."""

import re
from collections.abc import Mapping
from pathlib import Path

from attm_companion.study.result_files import read_table
from attm_companion.study.results import Result, Value

NOT_RUN = "The mini study has no value on this."
_NAME = re.compile(r"\{(?P<experiment>\w+): (?P<query>[^{}]+)\}")


def load_mini(folder: Path) -> dict[str, Result]:
    """The tables of all experiments in ``folder`` by name; empty if there is none."""
    tables = [read_table(path, folder.name) for path in sorted(folder.glob("*.csv"))]
    return {table.experiment: table for table in tables}


def mini_sentence(template: str, tables: Mapping[str, Result]) -> str:
    """The template with each ``{experiment: query}`` replaced by its value and 95 % interval.

    A value over training seeds goes before one of a single training.

    Returns:
        The sentence and over what its intervals run; if a value is missing, that there is none.
    """
    found = {match[0]: _value(match, tables) for match in _NAME.finditer(template)}
    values = [value for value in found.values() if value is not None]
    if len(values) < len(found):
        return NOT_RUN
    text = _NAME.sub(lambda match: _text(found[match[0]]), template)
    over = " and ".join(sorted({value.over for value in values if value.low is not None}))
    return f"Mini study: {text}{f' (95 % intervals over {over})' * bool(over)}."


def _value(match: re.Match[str], tables: Mapping[str, Result]) -> Value | None:
    table = tables.get(match["experiment"])
    lines = table.find(match["query"]) if table else []
    return next(iter([*(line for line in lines if "training" in line.over), *lines]), None)


def _text(value: Value | None) -> str:
    if value is None or value.low is None or value.high is None:
        return "" if value is None else f"{value.value:.3f}"
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
