"""The ledger page in a real browser, through Chromium's protocol: filters, keyboard, requests."""

import asyncio
import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from attm_companion.ledger.evidence import gather
from attm_companion.ledger.ledger import Entry, build_ledger
from attm_companion.ledger.page import (
    answer_form,
    count_rows,
    ledger_view,
    proof_link,
    source_rows,
)

ROOT = Path(__file__).resolve().parents[3]
CHROMIUM = next(
    (path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), None
)
COUNT = 'document.querySelectorAll("tbody tr:not([hidden])").length'


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ATTM_RELEASED_DIR", raising=False)
        return build_ledger(gather(None, ROOT / "results"))


def test_every_row_is_labelled_and_loads_nothing(entries: list[Entry]):
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


def test_proof_links_point_to_the_line(entries: list[Entry]):
    by_id = {entry.claim.id: entry for entry in entries}
    for claim_id, text in (
        ("C107", "def biggest_delta("),
        ("C103", "C103:"),
        ("C73", "  C73:"),
    ):
        path, _, line = proof_link(by_id[claim_id], "..").partition(".html#L-")
        source = (ROOT / path.removeprefix("../")).read_text(encoding="utf-8").splitlines()
        assert text in source[int(line) - 1]


def test_the_form_for_an_answer_is_linked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/project")
    link = "https://github.com/someone/project/issues/new?template=author-answer.yml"
    assert link in answer_form(ROOT).html
    assert (ROOT / ".github" / "ISSUE_TEMPLATE" / "author-answer.yml").is_file()


class Browser:
    """A page in headless Chromium; commands and events over its debugging socket."""

    def __init__(self, socket: Any) -> None:
        self.socket, self.number, self.requests = socket, 0, []

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        await self.socket.write_message(json.dumps(message))
        while True:
            answer = json.loads(await self.socket.read_message())
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("id") == self.number:
                return answer["result"]

    async def value(self, expression: str) -> Any:
        answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    async def press(self, key: str, code: int, text: str = "") -> None:
        event = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
        await self.send("Input.dispatchKeyEvent", type="keyDown", **event)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **event)


async def explore(port: int, address: str) -> dict[str, Any]:
    from tornado.websocket import websocket_connect

    target = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json"))
    page = next(item for item in target if item["type"] == "page")
    socket = await websocket_connect(page["webSocketDebuggerUrl"], max_message_size=1 << 26)
    browser = Browser(socket)
    await browser.send("Network.enable")
    await browser.send("Page.navigate", url=address)
    while await browser.value("document.readyState") != "complete" or not await browser.value(
        COUNT
    ):
        await asyncio.sleep(0.05)
    found: dict[str, Any] = {"all": await browser.value(COUNT)}
    await browser.press("Tab", 9)  # to the first select, verdict
    found["focus"] = await browser.value("document.activeElement.name")
    await browser.press("c", 67, "c")  # type-ahead does not match the symbol, so step down
    for _ in range(3):
        await browser.press("ArrowDown", 40)
    found["verdict"] = await browser.value("document.activeElement.value")
    found["after_verdict"] = await browser.value(COUNT)
    found["output"] = await browser.value('document.querySelector("output").value')
    for _ in range(3):
        await browser.press("Tab", 9)
    for letter in "bold":
        await browser.press(letter, ord(letter.upper()), letter)
    found["words"] = await browser.value("document.activeElement.value")
    found["after_words"] = await browser.value(
        '[...document.querySelectorAll("tbody tr:not([hidden])")].map(row => row.id)'
    )
    await browser.press("Tab", 9)
    await browser.press("Enter", 13, "\r")
    await asyncio.sleep(0.2)
    found["after_reset"] = await browser.value(COUNT)
    await browser.press("Tab", 9)
    await browser.press("Enter", 13, "\r")
    found["opened"] = await browser.value('document.querySelector("details").open')
    found["requests"] = browser.requests
    socket.close()
    return found


@pytest.fixture(scope="module")
def found(entries: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    folder = tmp_path_factory.mktemp("ledger")
    page = folder / "ledger.html"
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Ledger</title>'
        f'<link rel="icon" href="data:,">{ledger_view(entries).html}</html>'
    )
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as chrome:
        try:
            return asyncio.run(asyncio.wait_for(_found(folder, page), timeout=90))
        finally:
            chrome.terminate()


async def _found(folder: Path, page: Path) -> dict[str, Any]:
    port_file = folder / "profile" / "DevToolsActivePort"
    while not port_file.is_file() or not port_file.read_text():
        await asyncio.sleep(0.1)
    return await explore(int(port_file.read_text().split()[0]), page.as_uri())


def test_filters_work_from_the_keyboard(found: dict[str, Any], entries: list[Entry]):
    contradicted = [e.claim.id for e in entries if e.verdict == "contradicted"]
    assert found["all"] == len(entries)
    assert (found["focus"], found["verdict"]) == ("verdict", "contradicted")
    assert found["after_verdict"] == len(contradicted)
    assert found["output"] == f"{len(contradicted)} of {len(entries)} shown"
    assert found["words"] == "bold"
    assert "claim-C109" in found["after_words"]
    assert len(found["after_words"]) < len(contradicted)
    assert found["after_reset"] == len(entries)
    assert found["opened"] is True


def test_no_request_leaves_the_machine(found: dict[str, Any]):
    assert [url for url in found["requests"] if not url.startswith(("file:", "data:"))] == []
