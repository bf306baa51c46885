"""Stage the book: prose, executed notebooks, generated pages and files served beside them."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import yaml

from attm_companion.assets import package_folder
from attm_companion.book import departures, pages, refuse
from attm_companion.book.layout import Layout
from attm_companion.book.notebook_gates import notebook_problems
from attm_companion.book.picture import draw_results
from attm_companion.book.source_pages import write_source_pages
from attm_companion.book.staged_notebooks import prepare
from attm_companion.notebook_parameters import read_notebook
from attm_companion.strict_yaml import read_yaml
from attm_core.files import write_text

# One file with all TeX extensions and its SVG glyphs: no font, no request.
MATHJAX_PACKAGE, MATHJAX_FILE = "sphinx-mathjax-offline", "tex-svg-full.js"

PICTURED = ("cumulative.csv", "score_sweep.csv")

# Name of a page in book/generated → what writes it; a new one also needs a line in _toc.yml.
GENERATED_PAGES: dict[str, Callable[[Layout], str]] = {
    "departures": lambda layout: departures.page(departures.collect(layout.root)),
    "execution": lambda layout: pages.execution_page(layout.executed_notebooks(), layout.profile),
    "provenance": lambda layout: pages.provenance_page(layout.results, layout.profile),
}
# Tables that pages link to, whatever profile the book is of.
TABLES_OF_PROSE = ("anchors", "frozen_parts", "open_*", "score_sweep", "training_seeds")
STORED = ("replications/*/*", *(f"*/{name}" for name in TABLES_OF_PROSE))


def toc_problems(layout: Layout) -> list[str]:
    """Where the table of contents, as Jupyter Book reads it, and the sources disagree."""
    from sphinx_external_toc.parsing import MalformedError, parse_toc_data

    try:
        listed = set(parse_toc_data(read_yaml(layout.root / "_toc.yml")))
    except MalformedError as error:  # such as a page that is given twice
        return [f"_toc.yml: {error}"]
    known = {f"book/{path.stem}" for path in layout.prose.glob("*.md")}
    known |= {f"book/generated/{name}" for name in GENERATED_PAGES}
    known |= {f"notebooks/{path.stem}" for path in layout.notebook_sources()}
    missing = [f"_toc.yml lists {name}, which does not exist" for name in sorted(listed - known)]
    return missing + [f"{name} is not in _toc.yml" for name in sorted(known - listed)]


def stage(layout: Layout) -> Path:
    """Fill ``_build/book-src`` and ``_build/book-extra`` afresh; returns the former.

    Raises:
        ConfigError: duplicate keys in a YAML file.
        PublishingError: table of contents and sources disagree, or an executed notebook is
            missing or fails a gate.
    """
    refuse(toc_problems(layout), "table of contents")
    extra = layout.book_source.with_name("book-extra")
    for folder in (layout.book_source, extra):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(
        layout.prose, layout.book_source / "book", ignore=shutil.ignore_patterns("_static")
    )
    shutil.copytree(layout.prose / "_static", layout.book_source / "_static")
    shutil.copy2(layout.root / "_toc.yml", layout.book_source)
    _stage_notebooks(layout)
    for name, written in GENERATED_PAGES.items():
        write_text(layout.book_source / "book" / "generated" / f"{name}.md", written(layout))
    _stage_landing(layout)
    _stage_extra(layout, extra)
    config = read_yaml(layout.root / "_config.yml")
    text = yaml.safe_dump(completed_config(config, layout, extra), sort_keys=False)
    write_text(layout.book_source / "_config.yml", text)
    return layout.book_source


def completed_config(config: dict[str, Any], layout: Layout, extra: Path) -> dict[str, Any]:
    """The committed configuration with what only the building machine knows.

    Absolute folders, and the repository's address, without which there are no launch buttons.
    """
    sphinx = config.setdefault("sphinx", {}).setdefault("config", {})
    sphinx["attm_results"] = str(layout.results)
    sphinx["html_extra_path"] = [str(extra)]
    address = repository_url(layout.root)
    if address is None:
        config.pop("launch_buttons", None)
        return config
    config["repository"] = {"url": address, "branch": "main", "path_to_book": ""}
    config["html"]["use_repository_button"] = True
    return config


def repository_url(root: Path) -> str | None:
    """Where the project is published: from the CI environment or the remote ``origin``."""
    if repository := os.environ.get("GITHUB_REPOSITORY"):
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"
    command = ["git", "-C", str(root), "remote", "get-url", "origin"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return found.removesuffix(".git") if found.startswith("https://github.com/") else None


def _stage_notebooks(layout: Layout) -> None:
    problems = []
    for source in layout.notebook_sources():
        executed = layout.executed / source.name
        if not executed.is_file():
            problems.append(f"{source.name} has not been executed for {layout.profile}")
            continue
        notebook = read_notebook(executed)
        problems += notebook_problems(notebook, source.name, executed.parent)
        prepare(notebook, read_notebook(source))
        target = layout.book_source / "notebooks" / source.name
        target.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, target)
    refuse(problems, "executed notebooks")


def _stage_landing(layout: Layout) -> None:
    """What the first page shows and lets one hear: a picture, and cells tagged ``landing``."""
    cells = [
        cell
        for path in layout.executed_notebooks()
        for cell in read_notebook(path).cells
        if "landing" in cell.metadata.get("tags", [])
    ]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    heard = "\n".join("".join(data.get("text/html", "")) for data in outputs)
    folder = layout.book_source / "book" / "generated"
    write_text(folder / "heard.html", heard.replace('src="static/', 'src="../notebooks/static/'))
    if all((layout.results / name).is_file() for name in PICTURED):
        draw_results(layout.results, folder / "results.png")


def _stage_extra(layout: Layout, extra: Path) -> None:
    runs = layout.results.parent
    tables = {
        f"results/{path.relative_to(runs).as_posix()}": path
        for own in (f"{layout.results.name}/*", *STORED)
        for path in runs.glob(f"{own}.csv")
    }
    write_source_pages(layout.root, extra / "source", tables)
    static = layout.executed / "static"
    if static.is_dir():
        shutil.copytree(static, extra / "notebooks" / "static")
    (extra / "mathjax").mkdir(parents=True, exist_ok=True)
    mathjax = package_folder(MATHJAX_PACKAGE) / "static" / "mathjax"
    shutil.copy2(mathjax / MATHJAX_FILE, extra / "mathjax" / MATHJAX_FILE)
