"""What staging makes of an executed notebook: levels in captions, parameters once, time at the end.

The level of a page's tables and figures is ``metadata.attm.level`` of the source notebook: A where
the page computes them, B where it reads stored files, C where it quotes. Where the page itself
finds out, as the release audit does, the first "Level …" that it prints counts.
"""

import re
from typing import Any

import nbformat

from attm_companion.book.notebook_gates import outputs

PRINTED = re.compile(r"\bLevel ([ABC])\b")
CAPTION = re.compile(r'(<table class="attm-table[^>]*><caption>)')
FOLDED = "hide-input"


def prepare(notebook: Any, source: Any) -> None:
    """Change an executed notebook, in place, into what the book shows."""
    drop_stderr(notebook)
    level = page_level(notebook, source)
    describe_pictures(notebook, level)
    badge_tables(notebook, level)
    show_parameters_once(notebook)
    answer_first(notebook)
    state_time(notebook)


def page_level(notebook: Any, source: Any) -> str:
    """``A``, ``B`` or ``C``, as the source states it, else as the page prints it, else A."""
    if stated := source.metadata.get("attm", {}).get("level"):
        return str(stated)
    said = (o.get("text") or o.get("data", {}).get("text/plain", "") for _, o in outputs(notebook))
    printed = (PRINTED.search("".join(text)) for text in said)
    return next((match.group(1) for match in printed if match), "A")


def describe_pictures(notebook: Any, level: str) -> None:
    """Hand the texts of pictures to MyST-NB, which reads them from the cell, not the output."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            words = output.get("metadata", {}).get("image/png", {})
            if not words.get("alt"):
                continue
            options = cell.metadata.setdefault("mystnb", {})
            kind = "attm-plot" if words.get("plot") else "attm-picture"
            options["image"] = {"alt": words["alt"], "classes": kind}
            caption = words.get("caption") or words["alt"]
            options["figure"] = {"caption": f"Level {level}. {caption}"}


def badge_tables(notebook: Any, level: str) -> None:
    """Say the level in the caption of every table."""
    badge = rf'\1<span class="attm-badge">Level {level}</span> '
    for _, output in outputs(notebook):
        if html := output.get("data", {}).get("text/html"):
            output.data["text/html"] = CAPTION.sub(badge, "".join(html))


def drop_stderr(notebook: Any) -> None:
    """Leave out progress and warnings of libraries: they name paths of the building machine."""
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


def show_parameters_once(notebook: Any) -> None:
    """Show the parameters that the page ran with, folded, and not the declared ones beside them."""
    tagged = {tag: cell for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    declared, injected = tagged.get("parameters"), tagged.get("injected-parameters")
    if (shown := injected or declared) is not None:
        shown.metadata.tags.append(FOLDED)
    if injected is not None and declared is not None:
        notebook.cells.remove(declared)


def answer_first(notebook: Any) -> None:
    """Move what a cell tagged ``answer`` says to below the title, before any folded cell."""
    for cell in notebook.cells:
        if "answer" in cell.metadata.get("tags", []):
            said = [output["data"]["text/html"] for output in cell.outputs]
            notebook.cells[0].source += "\n\n" + "\n".join("".join(html) for html in said)
            cell.outputs = []


def state_time(notebook: Any) -> None:
    """End the page with what its last run took."""
    run = notebook.metadata.get("papermill", {})
    if seconds := run.get("duration"):
        given = ", ".join(f"`{k} = {v!r}`" for k, v in run.get("parameters", {}).items())
        text = f"*This page took {seconds:.0f} s to run{' with ' + given if given else ''}.*"
        notebook.cells.append(nbformat.v4.new_markdown_cell(text, id="time-of-the-run"))
