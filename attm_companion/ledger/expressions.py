"""Arithmetic that ``claims.yaml`` writes down, on printed and measured numbers."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from attm_companion.ledger.release.audit import Audit
from attm_companion.paper_numbers import Paper
from attm_core.errors import InputError

OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.USub: operator.neg, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs, "min": min, "max": max, "sqrt": math.sqrt, "log": math.log,
}  # fmt: skip


def evaluate(text: str, paper: Paper, audit: Audit, names: Mapping[str, Any]) -> Any:
    """The value of an expression in Python's notation.

    It holds numbers, ``+ - * /``, comparisons, ``and``, ``if … else``, the functions above; dotted
    keys of the transcription (``table2.row1.fad``), or of the audit after ``audit.``; and names of
    ``names``: earlier figures, and the verdicts.

    Raises:
        InputError: anything else in it, or an unknown key.
    """

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name() | ast.Attribute():
                return look(ast.unparse(node))
            case ast.BinOp():
                return OPERATORS[type(node.op)](value(node.left), value(node.right))
            case ast.UnaryOp():
                return OPERATORS[type(node.op)](value(node.operand))
            case ast.Compare():
                sides = pairwise([value(side) for side in (node.left, *node.comparators)])
                return all(
                    OPERATORS[type(op)](*pair) for op, pair in zip(node.ops, sides, strict=True)
                )
            case ast.BoolOp(op=ast.And()):
                return all(value(part) for part in node.values)
            case ast.IfExp():
                return value(node.body if value(node.test) else node.orelse)
            case ast.Call(func=ast.Name(id=name)) if name in FUNCTIONS:
                return FUNCTIONS[name](*(value(argument) for argument in node.args))
        raise InputError(f"{text!r} is not arithmetic that the ledger knows: {ast.unparse(node)}")

    def look(key: str) -> Any:
        if "." not in key and key in names:
            return names[key]
        start, _, rest = key.partition(".")
        return audit[rest] if start == "audit" else paper[key]

    return value(ast.parse(text, mode="eval").body)
