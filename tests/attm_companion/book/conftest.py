"""A project in miniature with the real configuration."""

import shutil

import nbformat
import pytest
from publishing_samples import CODE, PAGE, TOC, code_cell, make_notebook, write_results

from attm_companion.book.layout import Layout
from attm_companion.study.result_files import ROOT


@pytest.fixture
def project(tmp_path) -> Layout:
    """The miniature project, its notebook not executed."""
    for name in ("_config.yml", "requirements.lock"):
        shutil.copy2(ROOT / name, tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "_toc.yml").write_text(TOC)
    shutil.copytree(ROOT / "book" / "_static", tmp_path / "book" / "_static")
    shutil.copy2(ROOT / "book" / "references.bib", tmp_path / "book")
    (tmp_path / "book" / "index.md").write_text(PAGE)
    (tmp_path / "attm_core").mkdir()
    (tmp_path / "attm_core" / "code.py").write_text(CODE)
    layout = Layout(tmp_path, "smoke")
    write_results(layout.results)
    layout.notebooks.mkdir()
    nbformat.write(make_notebook(code_cell("print(seed)")), layout.notebooks / "demo.ipynb")
    return layout
