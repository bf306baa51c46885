"""Gates on the built book: no traceback, no request to elsewhere, nothing missing or unlabelled."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from attm_companion.book.notebook_gates import ERROR_TAG, is_wordless

TRACEBACK = re.compile(
    rf"Traceback \(most recent call last\)|{ERROR_TAG}|PapermillExecutionError"
    r'|class="[^"]*traceback'
)
LOADED_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch"}
LOADED_LINKS |= {"modulepreload", "manifest"}
STYLE_REQUEST = re.compile(r"""(?:url\(|@import)\s*["']?\s*((?:https?:)?//[^"')\s]+)""")
PROMISE = re.compile(r"carries its origin|origin is at hand|shows its id under")
VOID_HREF = ("#", "mailto:", "javascript:", "data:")


class Page(HTMLParser):
    """What the gates need to know of one page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.problems: list[str] = []
        self._table_open = False
        self.numbers = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sort addresses into loaded and linked; look at pictures, players and tables."""
        given = {name: value or "" for name, value in attrs}
        self._addresses(tag, given)
        if tag == "img" and is_wordless(given.get("alt", "")):
            self.problems.append(f"picture without a text: {given.get('src', '')[:80]}")
        if tag == "audio":
            self._player(given)
        self.numbers += "attm-number" in given.get("class", "").split()
        if self._table_open and tag != "caption":
            self.problems.append("generated table without a caption")
        self._table_open = tag == "table" and "attm-table" in given.get("class", "")

    def _addresses(self, tag: str, given: dict[str, str]) -> None:
        relations = set(given.get("rel", "").split())
        if tag == "link" and relations & LOADED_LINKS:
            self.loaded.append(given.get("href", ""))
        elif "href" in given and tag == "a":
            self.linked.append(given["href"])
        self.loaded += [given[name] for name in ("src", "poster", "data") if given.get(name)]
        self.loaded += [
            part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()
        ]
        self.loaded += STYLE_REQUEST.findall(given.get("style", ""))

    def _player(self, given: dict[str, str]) -> None:
        if not given.get("aria-label"):
            self.problems.append("audio player without a label")
        if given.get("preload") != "none" or "autoplay" in given:
            self.problems.append("audio player that loads or plays by itself")


def page_problems(html: str, path: Path, root: Path) -> list[str]:
    """Problems of one page.

    Args:
        html: its text.
        path: its file, from which relative addresses count.
        root: folder of the book.
    """
    page = Page(html)
    problems = list(dict.fromkeys(page.problems))
    if found := TRACEBACK.search(html):
        problems.append(f"shows a failure: {found.group()}")
    if not re.search(r"<html[^>]*\slang=", html):
        problems.append("does not state its language")
    if PROMISE.search(html) and not page.numbers:
        problems.append("promises numbers that show their origin, and has none")
    if path.parent.name == "notebooks" and html.count('"attm-table"') > html.count('"attm-badge"'):
        problems.append("shows a table whose caption does not say its level")
    problems += [f"loads {url} from elsewhere" for url in page.loaded if is_external(url)]
    problems += [
        f"points to {url}, which does not exist"
        for url in dict.fromkeys(page.loaded + page.linked)
        if _is_local(url) and not _exists(url, path, root)
    ]
    return problems


def is_external(url: str) -> bool:
    """Whether loading ``url`` leaves the machine."""
    return bool(re.match(r"(?:https?:|ftp:|wss?:)?//", url.strip(), re.IGNORECASE))


def _is_local(url: str) -> bool:
    return bool(url) and not is_external(url) and not url.startswith(VOID_HREF)


def _exists(url: str, path: Path, root: Path) -> bool:
    name = unquote(urlsplit(url).path)
    target = root / name.lstrip("/") if name.startswith("/") else path.parent / name
    return not name or target.exists()


def book_problems(root: Path) -> list[str]:
    """Problems of all pages and style sheets below ``root``, each with its file."""
    problems = []
    for path in sorted(root.rglob("*.html")):
        name = path.relative_to(root).as_posix()
        if name.startswith(("_static/", "source/")):
            continue  # fragments of the theme; listings of code, which may quote a failure
        html = path.read_text(encoding="utf-8")
        problems += [f"{name} {problem}" for problem in page_problems(html, path, root)]
    for path in sorted(root.rglob("*.css")):
        found = STYLE_REQUEST.findall(path.read_text(encoding="utf-8"))
        problems += [f"{path.relative_to(root)} loads {url} from elsewhere" for url in found]
    return problems
