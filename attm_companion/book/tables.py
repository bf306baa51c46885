"""Tables that a screen reader can read, and numbers in them that know their origin."""

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape, unescape
from typing import Any

import pandas as pd

from attm_companion.book.numbers import SIGN, Number, number_of
from attm_companion.study.results import Result, Value
from attm_core.errors import InputError

MISSING = "—"
LONGEST_WORDS = 28  # characters of a cell that takes the width it needs
FIGURE = re.compile(r"(—|[<≤≥]?\s?[+−]?[\d.,]+([eE][+-]?\d+)?( ?[%×] ?| \w{1,4})?)?( ?\[.*\])?")
DEFAULT_FORMAT = ".4g"
_CELLS = itertools.count(1)  # ids of the cells of a page
TAG = re.compile(r"<span class=\"attm-origin\".*?</span>|<[^>]+>")  # origins are for pages
INTERVAL = re.compile(r"\[[^\[\]]*\d, [^\[\]]*\d\]")


@dataclass(frozen=True)
class HtmlView:
    """HTML for the notebook and the book, and a plain form for a terminal."""

    html: str
    plain: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.plain


def paragraph(html: str) -> HtmlView:
    """A paragraph that a cell has written."""
    return HtmlView(f"<p>{html}</p>", TAG.sub("", html))


def live(result: Result, value: Value, form: str, level: str = "A") -> str:
    """A number of a result with its origin, as HTML for a `paragraph`."""
    number = number_of(result, value, form, level=level)
    return number.html(f"said-{next(_CELLS)}")


def show_table(
    frame: pd.DataFrame, caption: str, formats: Mapping[str, str] | None = None
) -> HtmlView:
    """A table with a caption; the index is the row header. End a cell with it.

    Args:
        frame: one line a row; NaN and None print as a dash.
        caption: what the table holds (required).
        formats: format specification of a column, e.g. ``{"FAD": ".3f"}``; other floats are
            shown with four significant digits.

    Raises:
        InputError: no caption, or a format for a column that is not there.
    """
    formats = dict(formats or {})
    if not caption.strip():
        raise InputError("a table needs a caption")
    if unknown := set(formats) - set(frame.columns):
        raise InputError(f"no column {', '.join(sorted(unknown))} to format")
    columns = list(frame.columns)
    forms = [formats.get(column, "") for column in columns]
    head = [SIGN.sub("−", str(name)) for name in (frame.index.name or "", *columns)]
    rows = [
        [escape(str(name)), *(_cell(value, form) for value, form in zip(row, forms, strict=True))]
        for name, *row in frame.itertuples(index=True, name=None)
    ]
    return HtmlView(table_html(head, rows, caption), f"{caption}\n{frame.to_string()}")


def _cell(value: Any, specification: str) -> str:
    """A cell as HTML; an interval stays on one line, a `Number` carries its origin."""
    if isinstance(value, Number):
        return _whole(value.html(f"cell-{next(_CELLS)}", badge=False))
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    text = format(value, specification or (DEFAULT_FORMAT if isinstance(value, float) else ""))
    return _whole(escape(SIGN.sub("−", text)))


def _whole(html: str) -> str:
    return INTERVAL.sub(r'<span class="attm-interval">\g<0></span>', html)


def _reading(tag: str, cell: str, words: bool) -> str:
    """The start of a cell: words are read from the left, numbers stand at the right."""
    text = TAG.sub("", cell)
    long = len(text) > LONGEST_WORDS and " " in text and "attm-number" not in cell
    names = [name for name, given in (("attm-words", words), ("attm-text", long)) if given]
    return f'{tag} class="{" ".join(names)}">' if names else f"{tag}>"


def _is_figure(cell: str) -> bool:
    return "attm-number" in cell or bool(FIGURE.fullmatch(unescape(TAG.sub("", cell)).strip()))


def table_html(head: list[str], rows: list[list[str]], caption: str, prose: bool = False) -> str:
    """An accessible table of HTML cells; the first of each row is its header.

    A corner without a name is a plain cell: an empty header would be announced as one. A column
    with words in it, and all of ``prose``, is read from the left.
    """
    words = [not all(map(_is_figure, column)) for column in list(zip(*rows, strict=True))[1:]]
    words = [not prose and known for known in words or [False] * (len(head) - 1)]
    top = "".join(
        _reading('<th scope="col"', "", known) + f"{escape(name)}</th>" if name else "<td></td>"
        for name, known in zip(head, [True, *words], strict=True)
    )
    lines = (
        "<tr>"
        + _reading('<th scope="row"', row[0], words=False)
        + f"{row[0]}</th>"
        + "".join(
            _reading("<td", cell, known) + f"{cell}</td>"
            for cell, known in zip(row[1:], words, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    kind = "attm-table attm-prose" if prose else "attm-table"
    table = (
        f'<table class="{kind}"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )
    label = f'tabindex="0" role="region" aria-label="{escape(caption)}"'
    return f'<div class="attm-wide" {label}>{table}</div>\n'
