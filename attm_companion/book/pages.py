"""Generated pages: how long each notebook took, and where each result comes from."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from attm_companion.book.parameters import read_notebook
from attm_core.files import read_json


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
    """What the numbers were made from: facts common to all result files, then a row a file."""
    contents = [read_json(path) for path in sorted(results.glob("*.json"))]
    facts = [_flat(content) for content in contents]
    keys = list(dict.fromkeys(key for named in facts for key in named))
    common = [key for key in keys if len({str(named.get(key)) for named in facts}) == 1]
    own = [key for key in keys if key not in common] if len(contents) > 1 else []
    rows = [
        [escape(content["experiment"]), str(len(content.get("values", {})))]
        + [escape(str(named.get(key, "—"))) for key in own]
        for content, named in zip(contents, facts, strict=True)
    ]
    return (
        "# Provenance\n\n"
        f"Profile `{profile}`. Every number of ours in this book comes from one of these result "
        f"files ({len(rows)}). A number shows its id under the pointer or the focus.\n\n"
        + "".join(f"- {_words(key)}: {facts[0][key]}\n" for key in common)
        + "\n"
        + html_table(
            ["Experiment", "Values", *map(_words, own)], rows, f"Result files of profile {profile}"
        )
    )


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    provenance = content.get("provenance", {})
    return {key: value for key, value in provenance.items() if not isinstance(value, dict | list)}


def _words(key: str) -> str:
    return {"wall_s": "wall time (s)", "config_uid": "configuration"}.get(
        key, key.replace("_", " ")
    )


def html_table(head: list[str], rows: list[list[str]], caption: str) -> str:
    """An accessible table of HTML cells that scrolls sideways; first cells are row headers."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="attm-wide" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="attm-table attm-prose"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>\n"
    )
