"""The ledger as a table that filters without a mouse, without a library and without a request."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from html import escape

from attm_companion.book.tables import HtmlView
from attm_companion.ledger.evidence import VERDICTS
from attm_companion.ledger.ledger import Entry, count_verdicts, figure_text
from attm_companion.ledger.registry import Check, all_checks

SOURCE_FOLDER = "../source"  # where the book puts the code as pages
WORDS = {
    "holds": "● holds",
    "holds_loosely": "◐ holds loosely",
    "contradicted": "✕ contradicted",
    "ambiguous": "? ambiguous",
    "not_checkable_here": "– not checkable here",
}
KINDS = {
    "a": "a: arithmetic",
    "b": "b: public release",
    "c": "c: only by running",
    "ab": "a and b",
}
COLUMNS = ("Id", "Where", "Statement and finding", "Verdict")
SECTIONS = {
    "introduction": "Abstract and introduction",
    "table-1": "Table I",
    "method": "III-A to III-C: backbone, head, ranker",
    "training": "III-D: data and stages",
    "inference": "III-E: inference",
    "table-2": "IV-A, Table II",
    "table-3": "IV-B, Table III",
    "figure-2": "IV-C, Fig. 2",
    "official": "Footnote and official results",
    "repository": "Conclusion and repository",
}
STYLE = """
.ledger form {display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; margin: 1rem 0}
.ledger label {display: flex; flex-direction: column; font-size: .9rem}
.ledger select, .ledger input {font: inherit; padding: .2rem; min-height: 2rem}
.ledger table {width: 100%; border-collapse: collapse; font-size: .9rem}
.ledger td, .ledger th {text-align: left; vertical-align: top; padding: .4rem;
  border-bottom: 1px solid #767676}
.ledger td p {margin: 0 0 .3rem}
.ledger tr[hidden] {display: none}
.ledger .verdict {white-space: nowrap; font-weight: 600}
"""
SCRIPT = """
(() => {
  const root = document.getElementById("claim-ledger");
  const form = root.querySelector("form");
  const rows = [...root.querySelectorAll("tbody tr")];
  const show = () => {
    const wanted = Object.fromEntries(new FormData(form));
    const words = wanted.words.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = ["verdict", "section", "kind", "origin"].every(
        name => !wanted[name] || row.dataset[name] === wanted[name]);
      row.hidden = !fits || (words && !row.textContent.toLowerCase().includes(words));
      shown += !row.hidden;
    }
    root.querySelector("output").value = `${shown} of ${rows.length} shown`;
  };
  form.addEventListener("input", show);
  form.addEventListener("reset", () => setTimeout(show));
  form.addEventListener("submit", event => event.preventDefault());
  show();
})();
"""


def ledger_view(entries: list[Entry], source_folder: str = SOURCE_FOLDER) -> HtmlView:
    """The whole ledger with its filters.

    Args:
        entries: as built by :func:`attm_companion.ledger.ledger.build_ledger`.
        source_folder: where the code's pages are, seen from the page with the ledger.
    """
    checks = all_checks()
    rows = "".join(_row(entry, link_to(checks[entry.claim.id], source_folder)) for entry in entries)
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    html = (
        f'<div class="ledger" id="claim-ledger"><style>{STYLE}</style>{_form()}'
        f'<table class="attm-table"><caption>{len(entries)} statements with verdict, reason, check'
        f"</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"<script>{SCRIPT}</script></div>"
    )
    return HtmlView(html, f"{len(entries)} statements: {count_verdicts(entries)}")


def link_to(function: Check, source_folder: str) -> str:
    """Address of the line where a check is defined."""
    module = inspect.getmodule(function)
    path = (module.__name__ if module else "").replace(".", "/")
    _, line = inspect.getsourcelines(function)
    return f"{source_folder}/{path}.py.html#L-{line}"


def _form() -> str:
    fields = (
        _select("verdict", "Verdict", {name: WORDS[name] for name in VERDICTS})
        + _select("section", "Section", SECTIONS)
        + _select("kind", "Class of check", KINDS)
        + _select("origin", "Origin", {"paper": "the paper's statements", "ours": "our findings"})
    )
    return (
        f'<form role="search" aria-label="Filter the ledger">{fields}'
        '<label>Words<input type="search" name="words" autocomplete="off"></label>'
        '<label>Filters<input type="reset" value="Show all"></label>'
        '<output aria-live="polite"></output></form>'
    )


def _select(name: str, label: str, options: Mapping[str, str]) -> str:
    items = "".join(
        f'<option value="{key}">{escape(text)}</option>' for key, text in options.items()
    )
    return (
        f'<label>{label}<select name="{name}"><option value="">all</option>{items}</select></label>'
    )


def _row(entry: Entry, link: str) -> str:
    claim, outcome = entry.claim, entry.outcome
    data = {
        "verdict": outcome.verdict,
        "section": claim.section,
        "kind": claim.kind,
        "origin": "ours" if claim.is_finding else "paper",
    }
    attributes = "".join(f' data-{name}="{value}"' for name, value in data.items())
    return (
        f'<tr id="claim-{claim.id}"{attributes}><th scope="row">{claim.id}</th>'
        f"<td>{escape(claim.where)}</td><td><p>{escape(claim.statement)}</p>"
        f"<p><em>{escape(outcome.reason)}</em></p>{_details(entry, link)}</td>"
        f'<td class="verdict">{WORDS[outcome.verdict]}</td></tr>'
    )


def _details(entry: Entry, link: str) -> str:
    figures = _list(
        f"{name.replace('_', ' ')}: {figure_text(value)}"
        for name, value in entry.outcome.figures.items()
    )
    summary = entry.to_dict()["mini"]
    mini = f"<p>{escape(summary['sentence'])}</p>" if summary else ""
    return (
        f"<details><summary>figures and check of {entry.claim.id}</summary>{figures}{mini}"
        f'<p>Level {entry.level}, <a href="{escape(link)}">check</a> '
        f"<code>{escape(entry.check)}</code></p></details>"
    )


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def count_rows(entries: list[Entry]) -> dict[str, dict[str, int]]:
    """Counts per verdict in words, for the paper's statements and for our findings."""
    paper, ours = count_verdicts(entries, findings=False), count_verdicts(entries, findings=True)
    return {
        "the paper's statements": {WORDS[name]: paper[name] for name in VERDICTS},
        "our findings": {WORDS[name]: ours[name] for name in VERDICTS},
    }
