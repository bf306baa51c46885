"""The ledger as a table that filters without a mouse, without a library and without a request."""

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from attm_companion.book.source_pages import FORMS
from attm_companion.book.staging import repository_url
from attm_companion.book.tables import HtmlView
from attm_companion.ledger.evidence import VERDICTS, load_sources
from attm_companion.ledger.ledger import Entry, count_verdicts

SOURCE_FOLDER = "../source"  # where the book puts the code as pages
FORM = "author-answer.yml"
FILTERS = Path(__file__).with_name("filters.html")  # style of the table and what its form does
WORDS = {
    "holds": "● holds",
    "holds_loosely": "◐ holds loosely",
    "contradicted": "✕ contradicted",
    "ambiguous": "? ambiguous",
    "not_checkable_here": "– not checkable here",
    "found": "◆ finding",
}
KINDS = {
    "computed": "computed by a check",
    "read": "read by a person",
    "finding": "finding of ours, no verdict",
}
DECIDED_BY = {
    "a": "arithmetic",
    "b": "the public release",
    "c": "only running the system",
    "ab": "arithmetic and the public release",
}
COLUMNS = ("Id", "Where", "Statement and what we found", "Verdict")
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


def ledger_view(entries: list[Entry]) -> HtmlView:
    """The whole ledger with its filters."""
    caption = f"{len(entries)} lines with verdict, reason and proof"
    table = _table(entries, caption, "claim")
    filters = FILTERS.read_text(encoding="utf-8")
    html = f'<div class="ledger" id="claim-ledger">{_form()}{table}{filters}</div>'
    return HtmlView(html, f"{len(entries)} lines: {count_verdicts(entries)}")


def chosen_view(entries: Iterable[Entry], ids: Iterable[str], caption: str) -> HtmlView:
    """Some lines with their proofs, in the order of ``ids``; without filters."""
    by_id = {entry.claim.id: entry for entry in entries}
    table = _table([by_id[claim_id] for claim_id in ids], caption, "chosen")
    return HtmlView(f'<div class="ledger">{table}</div>', f"{caption}: {', '.join(ids)}")


def _table(entries: Iterable[Entry], caption: str, prefix: str) -> str:
    rows = "".join(_row(entry, prefix) for entry in entries)
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    return (
        f'<table class="attm-table"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def proof_link(entry: Entry) -> str:
    """Address of the line of the check, or of the reading."""
    return f"{SOURCE_FOLDER}/{entry.proof.partition('#')[0]}.html#L-{entry.line}"


def answer_form(root: Path) -> HtmlView:
    """A link to the form in which the authors can answer: on the tracker, or as a page here."""
    address = repository_url(root)
    link = f"{address}/issues/new?template={FORM}" if address else None
    link = link or f"{SOURCE_FOLDER}/{FORMS.lstrip('.')}/{FORM}.html"
    text = "the form for an answer: which line, what is so, and where it stands"
    return HtmlView(f'<p class="ledger-answer"><a href="{escape(link)}">{text}</a></p>', link)


def _form() -> str:
    fields = (
        _select("verdict", "Verdict", {name: WORDS[name] for name in (*VERDICTS, "found")})
        + _select("section", "Section", SECTIONS)
        + _select("kind", "Kind of proof", KINDS)
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


def _row(entry: Entry, prefix: str) -> str:
    claim, verdict = entry.claim, entry.verdict or "found"
    return (
        f'<tr id="{prefix}-{claim.id}" data-verdict="{verdict}" data-section="{claim.section}"'
        f' data-kind="{claim.kind}"><th scope="row">{claim.id}</th>'
        f"<td>{escape(claim.where)}</td><td><p>{escape(claim.statement)}</p>"
        f"<p><em>{escape(entry.reason)}</em></p>{_details(entry)}</td>"
        f'<td class="verdict">{WORDS[verdict]}</td></tr>'
    )


def _details(entry: Entry) -> str:
    sources = load_sources()
    figures = _list(
        escape(f"{name.replace('_', ' ')}: {f'{value:.4g}' if isinstance(value, float) else value}")
        for name, value in entry.figures.items()
    )
    places = _list(
        f'<a href="{escape(place.url(sources[place.source]))}">{escape(place.source)} '
        f"{escape(place.path)}{f' line {place.first}' * bool(place.first)}</a>: "
        f"<q>{escape(place.words)}</q>"
        for place in entry.places
    )
    mini = f"<p>{escape(entry.mini)}</p>" if entry.mini else ""
    return (
        f"<details><summary>proof of {entry.claim.id}</summary>{figures}{places}{mini}"
        f"<p>{KINDS[entry.claim.kind].capitalize()}, from {escape(entry.basis)}: "
        f'<a href="{escape(proof_link(entry))}">{escape(entry.proof)}</a>. Decided by '
        f"{DECIDED_BY[entry.claim.decided_by]}.</p></details>"
    )


def _list(items: Iterable[str]) -> str:
    text = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{text}</ul>" if text else ""


def source_rows() -> dict[str, dict[str, str]]:
    """The abbreviations: what each is, and the commit that was read."""
    return {
        name: {
            "what": source.name,
            "address": source.url.removeprefix("https://"),
            "read at": " ".join(filter(None, (source.commit[:7], source.date))),
        }
        for name, source in load_sources().items()
    }


def count_rows(entries: list[Entry]) -> dict[str, dict[str, int]]:
    """Lines by kind and verdict, in words: the table of kinds."""
    counts = count_verdicts(entries)
    return {
        KINDS[kind]: {WORDS[name]: counts[kind].get(name, 0) for name in WORDS} for kind in KINDS
    }
