"""Gates on executed notebooks: no error, no missing audio, every picture described."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

TRACEBACK_HEAD = "Traceback (most recent call last)"
ERROR_TAG = "papermill-error-cell-tag"
SOURCE = re.compile(
    r"""<(?:audio|source|img|video|track)\s(?:[^>]*?\s)?src\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""",
    re.IGNORECASE,
)
WORDLESS_ALT = re.compile(
    r"^\W*$|^[\w./-]*[0-9a-f]{12,}[\w./-]*$|\.(png|svg|jpe?g)$", re.IGNORECASE
)


def html_sources(html: str) -> list[str]:
    """The ``src`` of each audio, source, image and video element."""
    return [unescape(found.strip("\"'")) for found in SOURCE.findall(html)]


def outputs(notebook: Any) -> Iterator[tuple[int, Any]]:
    """Cell number (from 1) and output of every output."""
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            yield number, output


def static_sources(notebook: Any) -> list[str]:
    """Relative files that the HTML outputs of a notebook point to."""
    html = (output.get("data", {}).get("text/html", "") for _, output in outputs(notebook))
    sources = [source for text in html for source in html_sources("".join(text))]
    return [source for source in sources if not re.match(r"[a-z]+:|/", source)]


def is_wordless(alt: str) -> bool:
    """Whether an alternative text says nothing: empty, a file name or a hash."""
    return bool(WORDLESS_ALT.search(alt.strip()))


def notebook_problems(notebook: Any, name: str, folder: Path) -> list[str]:
    """All that keeps an executed notebook out of the book."""
    return [
        *_error_problems(notebook, name),
        *_picture_problems(notebook, name),
        *(
            f"{name} points to {source}, which does not exist"
            for source in static_sources(notebook)
            if not (folder / source).is_file()
        ),
    ]


def _error_problems(notebook: Any, name: str) -> Iterator[str]:
    if notebook.metadata.get("papermill", {}).get("exception"):
        yield f"{name} stopped with an exception (metadata.papermill.exception)"
    for number, cell in enumerate(notebook.cells, start=1):
        if ERROR_TAG in cell.metadata.get("tags", []):
            yield f"{name}, cell {number} carries papermill's error tag"
    for number, output in outputs(notebook):
        if output.output_type == "error":
            yield f"{name}, cell {number} stored an error: {output.ename}: {output.evalue}"
        if output.output_type == "stream" and TRACEBACK_HEAD in output.text:
            yield f"{name}, cell {number} printed a traceback"


def _picture_problems(notebook: Any, name: str) -> Iterator[str]:
    pictures: dict[int, int] = {}
    for number, output in outputs(notebook):
        for kind in ("image/png", "image/svg+xml", "image/jpeg"):
            if kind not in output.get("data", {}):
                continue
            pictures[number] = pictures.get(number, 0) + 1
            if is_wordless(output.get("metadata", {}).get(kind, {}).get("alt", "")):
                yield f"{name}, cell {number} shows a picture without a text: use show_figure"
    for number, count in pictures.items():
        if count > 1:
            yield f"{name}, cell {number} shows {count} pictures; one cell, one picture"
