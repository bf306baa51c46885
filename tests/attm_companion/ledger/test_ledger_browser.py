import re
from pathlib import Path

import pytest

from attm_companion.ledger.page import answer_form, count_rows, ledger_view, source_rows

ROOT = Path(__file__).resolve().parents[3]


def test_every_row_is_labelled_and_loads_nothing(entries):
    html = ledger_view(entries).html
    assert html.count('<tr id="claim-C') == len(entries)
    assert "<caption>" in html
    assert html.count('scope="row"') == len(entries)
    assert not re.search(r"\bsrc=|<link|@import|url\(", html)
    assert str(len(entries)) in repr(ledger_view(entries))
    counts = count_rows(entries)
    assert sum(counts["computed by a check"].values()) < 129
    assert counts["finding of ours, no verdict"]["✕ contradicted"] == 0
    assert source_rows()["HP"]["read at"].startswith("09b68ac")


def test_the_form_for_an_answer_is_linked(monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/project")
    assert "someone/project/issues/new?template=author-answer.yml" in answer_form(ROOT).html
    assert (ROOT / ".github" / "ISSUE_TEMPLATE" / "author-answer.yml").is_file()


@pytest.fixture
def tab(browser, entries, tmp_path):
    """The page in a browser, which asks for nothing else."""
    page = tmp_path / "ledger.html"
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Ledger</title>'
        f'<link rel="icon" href="data:,">{ledger_view(entries).html}</html>'
    )
    tab, asked = browser.new_page(), []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(page.as_uri())
    yield tab
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_filters_work_from_the_keyboard_and_ask_nothing_of_the_network(tab, entries):
    def press(*keys):
        for key in keys:
            tab.keyboard.press(key)

    def focus(name):
        return tab.evaluate(f"document.activeElement.{name}")

    def shown():
        rows = 'document.querySelectorAll("tbody tr:not([hidden])")'
        return tab.evaluate(f"[...{rows}].map(row => row.id)")

    contradicted = [f"claim-{e.claim.id}" for e in entries if e.verdict == "contradicted"]
    assert len(shown()) == len(entries)
    press("Tab")  # to the first select, verdict
    assert focus("name") == "verdict"
    press("ArrowDown", "ArrowDown", "ArrowDown")
    assert (focus("value"), shown()) == ("contradicted", contradicted)
    said = f"{len(contradicted)} of {len(entries)} shown"
    assert tab.locator("output").first.inner_text() == said
    press("Tab", "Tab", "Tab", *"bold")
    assert focus("value") == "bold"
    assert "claim-C109" in shown()
    assert len(shown()) < len(contradicted)
    press("Tab", "Enter")  # a reset takes effect after its event
    tab.wait_for_function('!document.querySelector("tbody tr[hidden]")')
    press("Tab", "Enter")
    assert tab.evaluate('document.querySelector("details").open') is True
