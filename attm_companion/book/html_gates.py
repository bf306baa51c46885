"""Gates on the built book: no traceback, no request to elsewhere, nothing missing or unlabelled."""

import os
import re
from functools import cache
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
HEAVIEST_BYTES = 3_000_000  # of a page, without sound and what all pages share
SOUND = (".mp3", ".flac", ".wav", ".ogg")
SHARED = ("_static", "mathjax")
VOID_HREF = ("mailto:", "javascript:", "data:")


class Page(HTMLParser):
    """What the gates need to know of one page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.anchors: set[str] = set()
        self.problems: list[str] = []
        self._table_open = False
        self.numbers = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sort addresses into loaded and linked; look at pictures, players and tables."""
        given = {name: value or "" for name, value in attrs}
        self._addresses(tag, given)
        self.anchors |= {given.get("id", ""), given.get("name", "")}
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
    """Problems of one page."""
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
    for url in filter(_is_local, dict.fromkeys(page.loaded + page.linked)):
        target, anchor = _target(url, path, root), unquote(urlsplit(url).fragment)
        if not target.exists() and target != path:
            problems.append(f"points to {url}, which does not exist")
        elif anchor and anchor not in (page.anchors if target == path else _anchors(target)):
            problems.append(f"points to {url}, where no such place is")
    if (weight := len(html.encode()) + _weight(page, path, root)) > HEAVIEST_BYTES:
        problems.append(f"weighs {weight / 1e6:.1f} MB without sound, theme and MathJax")
    return problems


def is_external(url: str) -> bool:
    """Whether loading ``url`` leaves the machine."""
    return bool(re.match(r"(?:https?:|ftp:|wss?:)?//", url.strip(), re.IGNORECASE))


def _is_local(url: str) -> bool:
    return bool(url) and not is_external(url) and not url.startswith(VOID_HREF)


def _target(url: str, path: Path, root: Path) -> Path:
    name = unquote(urlsplit(url).path)
    if not name:
        return path
    return Path(os.path.normpath(root / name[1:] if name[0] == "/" else path.parent / name))


@cache
def _anchors(path: Path) -> frozenset[str]:
    """The places of a page that a link can point to."""
    is_page = path.suffix == ".html" and path.is_file()
    return frozenset(Page(path.read_text(encoding="utf-8")).anchors) if is_page else frozenset()


def _weight(page: Page, path: Path, root: Path) -> int:
    files = {_target(url, path, root) for url in page.loaded if _is_local(url)}
    own = (file for file in files if file.is_file() and file.suffix not in SOUND)
    return sum(f.stat().st_size for f in own if f.relative_to(root).parts[0] not in SHARED)


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
