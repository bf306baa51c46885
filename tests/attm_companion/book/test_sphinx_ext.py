import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from publishing_samples import RESULT

from attm_companion.book.sphinx_ext import num_role


@pytest.fixture
def results(tmp_path):
    (tmp_path / "table.json").write_text(json.dumps(RESULT))
    return tmp_path


def test_a_number_is_printed_with_its_origin(results):
    env = SimpleNamespace(config=SimpleNamespace(attm_results=str(results)), docname="page")
    inliner = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=env)))
    (node,), messages = num_role("num", "raw", "table:row.fad|.2f", 3, inliner)
    assert messages == []
    assert node["format"] == "html"
    assert node.astext().endswith(">−0.42</span>")
    assert 'title="table, row.fad; profile smoke; n 100; seed 42;' in node.astext()
    assert 'tabindex="0"' in node.astext()


def test_an_unknown_number_fails_the_build(results):
    (results / "index.md").write_text("# T\n\n{num}`table:row.fad` {num}`table:row.fda`\n")
    extensions = ["myst_parser", "attm_companion.book.sphinx_ext"]
    settings = f"extensions = {extensions}\nattm_results = {str(results)!r}\n"
    (results / "conf.py").write_text(settings)
    command = [sys.executable, "-m", "sphinx", "-W", "-q", str(results), str(results / "out")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode != 0
    assert "index.md:3:num: table.json has no value 'row.fda'" in finished.stderr
