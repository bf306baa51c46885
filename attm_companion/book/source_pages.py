"""The code as pages with an anchor for each line, so that the book can link to it offline."""

from __future__ import annotations

from pathlib import Path

from attm_companion.book.layout import modules
from attm_core.files import write_text


def write_source_pages(root: Path, target: Path) -> None:
    """Write ``target/<package>/….py.html`` for every module; line n has the anchor ``L-n``."""
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

    for path in modules(root):
        name = path.relative_to(root).as_posix()
        formatter = HtmlFormatter(
            full=True, title=name, style="a11y-high-contrast-light", linenos="table",
            lineanchors="L", anchorlinenos=True,
        )  # fmt: skip
        html = highlight(path.read_text(encoding="utf-8"), PythonLexer(), formatter)
        write_text(target / f"{name}.html", html.replace("<html>", '<html lang="en">', 1))
