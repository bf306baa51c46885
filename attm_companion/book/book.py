"""Build the book with warnings as errors, pass it through the gates, then put it in place."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from attm_companion.book import PublishingError, refuse
from attm_companion.book.html_gates import book_problems
from attm_companion.book.layout import Layout, code_hash, tree_hash
from attm_companion.book.staging import stage
from attm_core.files import write_text

STAMP_FILE = ".attm-stamp"
ENTRY = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>To the first page</title>
<meta http-equiv="refresh" content="0; url=book/index.html"></head>
<body><p><a href="book/index.html">To the first page of the book</a></p></body>
</html>
"""


def build_book(layout: Layout) -> Path:
    """Stage, build and check the book of a profile; returns its first page.

    The book that was there before stays until the new one has passed.

    Raises:
        ConfigError: duplicate YAML keys.
        PublishingError: sources disagree, Jupyter Book warned or failed, or a gate refused a page.
    """
    source = stage(layout)
    stamp = _stamp(layout, source)
    index, built_from = layout.html / "index.html", layout.html / STAMP_FILE
    if index.is_file() and built_from.is_file() and built_from.read_text("utf-8") == stamp:
        return index
    built = _render(layout, source)
    refuse(book_problems(built), "the built book")
    write_text(built / STAMP_FILE, stamp)
    shutil.rmtree(layout.html, ignore_errors=True)
    built.rename(layout.html)
    return index


def _stamp(layout: Layout, source: Path) -> str:
    folders = (source, source.with_name("book-extra"), layout.results)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return tree_hash(layout.root, files) + code_hash(layout.root)


def _render(layout: Layout, source: Path) -> Path:
    """Run Jupyter Book from scratch; an incremental build would keep pages of removed sources."""
    output = layout.root / "_build" / "book-out"
    shutil.rmtree(output, ignore_errors=True)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(source)]
    command += ["--path-output", str(output), "-W", "-n", "--keep-going"]
    finished = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ) | {"HF_HUB_OFFLINE": "1", "TERM": "dumb"},
    )
    built = output / "_build" / "html"
    if finished.returncode or not (built / "index.html").is_file():
        lines = (finished.stderr + "\n" + finished.stdout).splitlines()
        marked = [line for line in lines if "WARNING" in line or "ERROR" in line]
        raise PublishingError("\n".join(["Jupyter Book failed:", *(marked or lines[-30:])]))
    write_text(built / "index.html", ENTRY)  # Jupyter Book's own states no language
    return built
