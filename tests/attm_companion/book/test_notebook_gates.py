import pytest
from nbformat.v4 import new_output
from publishing_samples import code_cell, make_notebook

from attm_companion.book.notebook_gates import html_sources, is_wordless, notebook_problems

TRACE = "before\nTraceback (most recent call last):\n  boom"


def picture(alt=None):
    metadata = {"image/png": {"alt": alt}} if alt is not None else {}
    return new_output("display_data", {"image/png": "AAAA"}, metadata=metadata)


def html(text):
    return new_output("display_data", {"text/html": text})


def problems(tmp_path, *outputs):
    return notebook_problems(make_notebook(code_cell("x", outputs=outputs)), "demo", tmp_path)


def test_a_clean_notebook_passes(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.mp3").touch()
    sound = html('<audio src="static/a.mp3"></audio>')
    assert problems(tmp_path, picture("A line that rises to 4"), sound) == []


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([new_output("error", ename="E", evalue="bad", traceback=[])], "stored an error: E: bad"),
        ([new_output("stream", name="stderr", text=TRACE)], "demo, cell 3 printed a traceback"),
        ([html('<audio src="static/no.mp3"></audio>')], "static/no.mp3, which does not exist"),
        ([picture()], "without a text"),
        ([picture("First of two lines"), picture("Second of two")], "2 pictures"),
    ],
)
def test_refused(tmp_path, outputs, message):
    (problem,) = problems(tmp_path, *outputs)
    assert message in problem


def test_papermills_traces_of_a_failure_are_refused(tmp_path):
    notebook = make_notebook(code_cell("x", ["papermill-error-cell-tag"]))
    notebook.metadata["papermill"] = {"exception": True}
    exception, tag = notebook_problems(notebook, "demo", tmp_path)
    assert "metadata.papermill.exception" in exception and "error tag" in tag


def test_wordless():
    digest = "9f86d081884c7d659a2f"
    assert all(map(is_wordless, ["", "  ", "figure.png", digest, f"../_images/{digest}.png", "—"]))
    assert not any(map(is_wordless, ["Scatter of reward against s", "s = 2.0", "Reward by stage"]))


def test_sources_are_found_in_any_quoting():
    html = "<audio><source src='a.ogg'></audio><img src=b.png><p>src='c'</p>"
    assert html_sources(html) == ["a.ogg", "b.png"]
