import pytest
from nbformat.v4 import new_output
from publishing_samples import code_cell, make_notebook

from attm_companion.book.notebook_gates import html_sources, is_wordless, notebook_problems


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


def test_a_stored_error_is_refused(tmp_path):
    error = new_output("error", ename="ValueError", evalue="bad", traceback=[])
    assert problems(tmp_path, error) == ["demo, cell 3 stored an error: ValueError: bad"]


def test_an_exception_in_the_metadata_is_refused(tmp_path):
    notebook = make_notebook()
    notebook.metadata["papermill"] = {"exception": True}
    assert "metadata.papermill.exception" in notebook_problems(notebook, "demo", tmp_path)[0]


def test_papermills_error_tag_is_refused(tmp_path):
    notebook = make_notebook(code_cell("x", ["papermill-error-cell-tag"]))
    assert "error tag" in notebook_problems(notebook, "demo", tmp_path)[0]


def test_a_printed_traceback_is_refused(tmp_path):
    text = "before\nTraceback (most recent call last):\n  boom"
    for name in ("stdout", "stderr"):
        (problem,) = problems(tmp_path, new_output("stream", name=name, text=text))
        assert problem == "demo, cell 3 printed a traceback"


def test_missing_sound_is_refused(tmp_path):
    (problem,) = problems(tmp_path, html('<audio src="static/no.mp3"></audio>'))
    assert "static/no.mp3, which does not exist" in problem


def test_a_picture_without_words_is_refused(tmp_path):
    assert "without a text" in problems(tmp_path, picture())[0]


def test_two_pictures_in_a_cell_are_refused(tmp_path):
    (problem,) = problems(tmp_path, picture("First of two lines"), picture("Second of two"))
    assert "2 pictures" in problem


@pytest.mark.parametrize(
    "alt", ["", "  ", "figure.png", "9f86d081884c7d65", "../_images/9f86d081884c7d659a2f.png", "—"]
)
def test_wordless(alt):
    assert is_wordless(alt)


@pytest.mark.parametrize("alt", ["Scatter of reward against s", "s = 2.0", "Reward by stage"])
def test_not_wordless(alt):
    assert not is_wordless(alt)


def test_sources_are_found_in_any_quoting():
    assert html_sources("<audio><source src='a.ogg'></audio><img src=b.png><p>src='c'</p>") == [
        "a.ogg",
        "b.png",
    ]
