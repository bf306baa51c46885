import subprocess
import sys
from types import SimpleNamespace

import pytest
from publishing_samples import write_results

from attm_companion.book.sphinx_ext import num_role


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / "smoke")


def role(results, name, text):
    config = SimpleNamespace(attm_results=str(results))
    env = SimpleNamespace(config=config, docname="book/page", new_serialno=lambda kind: 7)
    inliner = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=env)))
    (node,), messages = num_role(name, "raw", text, 3, inliner)
    assert messages == []
    return node


def test_a_number_is_printed_with_its_origin(results):
    node = role(results, "num", "table: fad of row @ value | .2f")
    assert node["format"] == "html"
    for part in (
        ">−0.42<", '<sup class="attm-level">A</sup>', 'tabindex="0" aria-describedby="num-7"',
        'role="tooltip" id="num-7"', 'href="../source/results/smoke/table.csv.html#L-2"',
        "table: fad of row; profile smoke; n 100; generation seed 42;",
    ):  # fmt: skip
        assert part in node.astext()
    assert role(results, "says", "table: fad of row | rises | falls | stays").astext() == "falls"


def test_an_unknown_number_fails_the_build(results):
    text = "# T\n\n{num}`table: fad of row` {num}`table: fda of row` {says}`table: fad of row|a`\n"
    (results / "index.md").write_text(text)
    extensions = ["myst_parser", "attm_companion.book.sphinx_ext"]
    settings = f"extensions = {extensions}\nattm_results = {str(results)!r}\n"
    (results / "conf.py").write_text(settings)
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "--keep-going"]
    command += [str(results), str(results / "out")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode != 0
    assert "num: table of smoke has no 'fda of row'" in finished.stderr
    assert "needs a line with an interval and three phrases" in finished.stderr
