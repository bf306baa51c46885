"""Arithmetic on printed numbers: what rounding allows, and which cell of a column is best."""

from collections.abc import Mapping

from attm_companion.ledger.evidence import Result, Verdict
from attm_companion.paper_numbers import Cell, Paper

HIGHER_IS_BETTER = {"fad": False, "clap": True, "reward": True, "score_r": True, "delta_out": True}
SLACK = 1e-9


def holds(condition: bool, otherwise: Verdict = "contradicted") -> Verdict:
    """``"holds"``, or the verdict that applies if not."""
    return "holds" if condition else otherwise


def delta(paper: Paper, before: str, after: str) -> float:
    """Printed value at ``after`` minus that at ``before``, cleared of float dust."""
    return round(paper[after] - paper[before], 10)


def rounds_to(value: float, printed: Cell, *operands: Cell) -> bool:
    """Whether ``value``, computed from printed ``operands``, can have been printed as ``printed``.

    Each operand hides up to half a unit of its last digit, and so does the printed result.
    """
    slack = printed.half_unit + sum(cell.half_unit for cell in operands)
    return abs(value - printed.value) <= slack + SLACK


def bold_is_best(paper: Paper, table: str, *metrics: str) -> Result:
    """Bold cells of a table against the best values of its columns."""
    columns = {metric: paper.column(table, metric) for metric in metrics}
    bold = {m: {row for row, cell in column.items() if cell.bold} for m, column in columns.items()}
    wrong = [m for m, column in columns.items() if bold[m] != best_rows(column, m)]
    right = len(metrics) - len(wrong)
    words = ", ".join(wrong) or "none"
    return holds(not wrong), {"columns": len(metrics), "right": right, "wrong": words}


def best_rows(column: Mapping[str, Cell], metric: str) -> set[str]:
    """Rows with the best printed value; several if tied."""
    values = {row: cell.value for row, cell in column.items()}
    best = max(values.values()) if HIGHER_IS_BETTER[metric] else min(values.values())
    return {row for row, value in values.items() if value == best}
