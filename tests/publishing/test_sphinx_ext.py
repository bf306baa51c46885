import json
import subprocess
import sys

import pytest
from publishing_samples import RESULT


def build(folder, page):
    """Build one MyST page with Sphinx as the book does: warnings are errors."""
    (folder / "table.json").write_text(json.dumps(RESULT))
    (folder / "index.md").write_text(page)
    extensions = ["myst_parser", "attm_core.publishing.sphinx_ext"]
    (folder / "conf.py").write_text(f"extensions = {extensions}\nattm_results = {str(folder)!r}\n")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", str(folder), str(folder / "out")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def test_a_number_is_printed_with_its_origin(folder):
    page = "# T\n\n{num}`table:row.fad|.2f`\n\n| a |\n|---|\n| {num}`table:row.fad@paper\\|.1f` |\n"
    finished = build(folder, page)
    assert finished.returncode == 0, finished.stderr
    html = (folder / "out" / "index.html").read_text()
    assert ">−0.42</span>" in html
    assert ">0.2</span>" in html
    assert 'title="table, row.fad; profile smoke; n 100; seed 42;' in html


def test_an_unknown_number_fails_the_build(folder):
    finished = build(folder, "# T\n\n{num}`table:row.fda`\n")
    assert finished.returncode != 0
    assert "table.json has no value 'row.fda'" in finished.stderr
