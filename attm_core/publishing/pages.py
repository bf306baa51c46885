"""Generated pages: how long each notebook took, and where each result comes from."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from attm_core.files import read_json
from attm_core.publishing.parameters import read_notebook


def execution_page(notebooks: list[Path], profile: str) -> str:
    """Execution statistics from the metadata that papermill leaves in executed notebooks."""
    rows, total = [], 0.0
    for path in notebooks:
        metadata = read_notebook(path).metadata.get("papermill", {})
        seconds = float(metadata.get("duration") or 0.0)
        total += seconds
        parameters = ", ".join(f"{k} = {v!r}" for k, v in metadata.get("parameters", {}).items())
        started = str(metadata.get("start_time", "")).partition(".")[0].replace("T", " ")
        link = f'<a href="../../notebooks/{path.stem}.html">{escape(path.stem)}</a>'
        rows.append([link, f"{seconds:.1f}", escape(started), escape(parameters) or "—", "ran"])
    head = ["Notebook", "Seconds", "Started (UTC)", "Parameters", "Outcome"]
    return (
        "# Execution statistics\n\n"
        f"Profile `{profile}`. Notebooks executed by papermill: {len(rows)}, in {total:.0f} s. "
        "A page of this book exists only if its notebook ran to the end without an error.\n\n"
        + html_table(head, rows, f"Notebooks executed for profile {profile}")
    )


def provenance_page(results: Path, profile: str) -> str:
    """One row a result file: what its numbers were made from."""
    rows, keys = [], []
    contents = [read_json(path) for path in sorted(results.glob("*.json"))]
    for content in contents:
        keys += [key for key in _flat(content) if key not in keys]
    for content in contents:
        named = _flat(content)
        cells = [escape(str(named.get(key, "—"))) for key in keys]
        rows.append([escape(content["experiment"]), str(len(content.get("values", {}))), *cells])
    return (
        "# Provenance\n\n"
        f"Profile `{profile}`. Every number of ours in this book comes from one of these result "
        f"files ({len(rows)}). A number shows its id under the pointer or the focus.\n\n"
        + html_table(["Experiment", "Values", *keys], rows, f"Result files of profile {profile}")
    )


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    provenance = content.get("provenance", {})
    return {key: value for key, value in provenance.items() if not isinstance(value, dict | list)}


def html_table(head: list[str], rows: list[list[str]], caption: str) -> str:
    """An accessible table of HTML cells; the first cell of a row is its header."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<table class="attm-table attm-prose"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>\n"
    )
