"""The page of departures: every PAPER-DEVIATION, PAPER-SILENT and MINI-WORLD comment."""

import io
import re
import tokenize
from dataclasses import dataclass
from html import escape
from pathlib import Path

from attm_companion.book.layout import modules
from attm_companion.book.tables import table_html

TAG = re.compile(r"#\s*(?P<kind>PAPER-DEVIATION|PAPER-SILENT|MINI-WORLD):\s*(?P<reason>.*)")
HEADINGS = {
    "PAPER-DEVIATION": "Where the code departs from the text",
    "PAPER-SILENT": "Where the text is silent and the code had to choose",
    "MINI-WORLD": "What the miniature world chose for itself",
}


@dataclass(frozen=True)
class Departure:
    """One tagged comment: kind, file relative to the root, line from 1, and the reason."""

    kind: str
    file: str
    line: int
    reason: str


def collect(root: Path) -> list[Departure]:
    """All tagged comments of both packages, by file and line."""
    found = []
    for path in modules(root):
        found += in_source(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix())
    return found


def in_source(source: str, file: str) -> list[Departure]:
    """The tagged comments of one file; a reason runs on over the comment lines below it."""
    comments = {
        token.start[0]: (token.start[1], token.string)
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return [
        Departure(match["kind"], file, line, _reason(match["reason"], line, column, comments))
        for line, (column, text) in comments.items()
        if (match := TAG.match(text))
    ]


def _reason(first: str, line: int, column: int, comments: dict[int, tuple[int, str]]) -> str:
    words = [first.strip()]
    while (line := line + 1) in comments:
        below, text = comments[line]
        if below != column or TAG.match(text):
            break
        words.append(text.lstrip("# ").strip())
    return " ".join(word for word in words if word)


def page(departures: list[Departure]) -> str:
    """The MyST page: one section a kind, each entry linked to its line."""
    parts = [
        "# Departures from the paper\n",
        "Generated from the comments in the code, so the list is complete by construction: "
        f"{len(departures)} places where the code departs from the published text, had to choose "
        "because it is silent, or built a miniature of what cannot be had here. "
        "C57 and the like are lines of the claim ledger.\n",
    ]
    for kind, heading in HEADINGS.items():
        chosen = [item for item in departures if item.kind == kind]
        parts.append(f"## {heading}\n")
        caption = f"{len(chosen)} places tagged {kind}"
        parts.append(_table(chosen, caption) if chosen else "None.\n")
    return "\n".join(parts)


def _table(departures: list[Departure], caption: str) -> str:
    rows = [
        [
            f'<a href="../../source/{item.file}.html#L-{item.line}">'
            f"{escape(item.file)}:{item.line}</a>",
            re.sub(r"`+([^`]+)`+", r"<code>\1</code>", escape(item.reason)),
        ]
        for item in departures
    ]
    return table_html(["Place", "Reason"], rows, caption, prose=True)
