"""Code and result files as pages with an anchor per line, so that the book can link offline."""

from collections.abc import Mapping
from pathlib import Path

from attm_companion.book.layout import PACKAGES, modules
from attm_core.files import write_text

FORMS = ".github/ISSUE_TEMPLATE"


def write_source_pages(root: Path, target: Path, tables: Mapping[str, Path] | None = None) -> None:
    """Write ``target/<file>.html`` for modules, YAML, tables; line n has the anchor ``L-n``."""
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers import get_lexer_for_filename  # type: ignore[import-untyped]

    yaml = [path for package in PACKAGES for path in sorted((root / package).rglob("*.yaml"))]
    own = [*modules(root), *yaml, *sorted((root / FORMS).glob("*.yml"))]
    # Servers of static pages hide folders that begin with a dot.
    files = {path.relative_to(root).as_posix().lstrip("."): path for path in own}
    for name, path in {**files, **(tables or {})}.items():
        formatter = HtmlFormatter(
            full=True, title=name, style="a11y-high-contrast-light", linenos="table",
            lineanchors="L", anchorlinenos=True,
        )  # fmt: skip
        lexer = get_lexer_for_filename(path.name if path.suffix != ".csv" else "table.txt")
        html = highlight(path.read_text(encoding="utf-8"), lexer, formatter)
        write_text(target / f"{name}.html", html.replace("<html>", '<html lang="en">', 1))
