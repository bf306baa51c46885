#!/usr/bin/env python
"""Every page of the built book in a real browser, from ``file://``, at two widths, light and dark.

``.venv/bin/python scripts/check_pages.py [FOLDER] [--pictures FOLDER]`` lists serious violations
that axe finds, pages that scroll sideways, scripts that fail, requests that leave the machine, and
pages that weigh too much; its exit status is 1 if there are any. With ``--pictures`` each page is
photographed as well.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
# Fragments of the theme; listings of code; the redirection to the first page.
SKIPPED = ("_static/", "source/")
REDIRECTION = "index.html"
WIDTHS = (1280, 400)  # a laptop, a telephone
PICTURE_WIDTHS = (1400, 400)
# Not ours: the theme declares one constant twice; docutils gives a list no list items.
OF_OTHERS = ("Identifier 'THEBE_JS_URL' has", 'role="list" class="citation-list"')
# What a server sends for a page before anything is played: compressed, without sound.
HEAVIEST = 3_000_000
SOUND = (".flac", ".wav")
RULES = {"resultTypes": ["violations"]}
# An element that sticks out of the window although nothing around it scrolls.
TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth + 1 ? "" :
  [...document.querySelectorAll("main *")]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
  .map(e => e.tagName.toLowerCase() + (e.className ? "." + e.className : "")).slice(0, 3).join(", ")
  || "the page"
"""


def problems(tab: Page, page: Path) -> list[str]:
    """What is wrong with one page."""
    found: list[str] = []
    asked: set[str] = set()
    tab.on("pageerror", lambda error: found.append(f"script: {error}"))
    tab.on("request", lambda request: asked.add(request.url))
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        tab.goto(page.as_uri())
        if wide := tab.evaluate(TOO_WIDE):
            found.append(f"wider than {width} px: {wide}")
    for theme in ("light", "dark"):
        set_theme(tab, theme)
        for violation in Axe().run(tab, options=RULES).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                places = {node["html"][:120] for node in violation["nodes"]}
                found.append(f"{theme}, axe {violation['id']}: {sorted(places)[:3]}")
    local = {unquote(urlsplit(url).path) for url in asked if url.startswith("file:")}
    found += [f"asks for {url}" for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    if (weight := sum(map(weight_of, local))) > HEAVIEST:
        found.append(f"weighs {weight:,} bytes, more than {HEAVIEST:,}")
    return [text for text in dict.fromkeys(found) if not any(own in text for own in OF_OTHERS)]


@cache
def weight_of(path: str) -> int:
    """Bytes that a server sends for a file."""
    if path.endswith(SOUND) or not Path(path).is_file():
        return 0
    return len(gzip.compress(Path(path).read_bytes()))


def set_theme(tab: Page, theme: str) -> None:
    """Show a page in the light or the dark theme."""
    tab.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)


def photograph(tab: Page, page: Path, folder: Path, name: str) -> None:
    """Save four pictures of a page."""
    for width in PICTURE_WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        tab.goto(page.as_uri())
        for theme in ("light", "dark"):
            set_theme(tab, theme)
            path = folder / f"{name.replace('/', '_')}-{width}-{theme}.png"
            tab.screenshot(path=path, full_page=True)


def main() -> int:
    """Look at every page; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    names = sorted(
        path.relative_to(given.folder).as_posix() for path in given.folder.rglob("*.html")
    )
    pages = [name for name in names if not name.startswith(SKIPPED) and name != REDIRECTION]
    if not pages:
        parser.error(f"{given.folder} holds no page: make book first")
    command = [str(ROOT / "scripts" / "browser")]
    chromium = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    count = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in pages:
            tab = browser.new_page()
            page = (given.folder / name).resolve()
            for problem in problems(tab, page):
                print(f"{name}: {problem}")
                count += 1
            if given.pictures:
                photograph(tab, page, given.pictures, name.removesuffix(".html"))
            tab.close()
    print(f"{len(pages)} pages, {count} problems")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
