import nbformat
import pytest
from nbformat.v4 import new_output
from publishing_samples import code_cell, make_notebook, pretend_executed

from attm_companion.book import PublishingError, staged_notebooks, staging
from attm_companion.book.staged_notebooks import answer_first
from attm_companion.strict_yaml import read_yaml
from attm_core.errors import ConfigError


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    """Not on GitHub, whatever runs the tests."""
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)


def test_everything_is_staged(project):
    pretend_executed(project)
    stale = project.book_source / "book" / "stale.md"
    stale.parent.mkdir(parents=True)
    stale.write_text("of an older book")
    source = staging.stage(project)
    assert not stale.exists()
    config = read_yaml(source / "_config.yml")
    assert config["sphinx"]["config"]["attm_results"] == str(project.results)
    assert not {"launch_buttons", "repository"} & config.keys()
    for name in ("book/index.md", "_static/room.js", "notebooks/demo.ipynb", "_toc.yml",
                 "book/generated/departures.md", "book/generated/execution.md"):  # fmt: skip
        assert (source / name).is_file(), name
    extra = source.with_name("book-extra")
    assert (extra / "mathjax" / staging.MATHJAX_FILE).stat().st_size > 1_000_000
    assert "L-3" in (extra / "source" / "attm_core" / "code.py.html").read_text()


def test_launch_buttons_appear_where_the_repository_is_known(project, monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/attm")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    config = read_yaml(project.root / "_config.yml")
    found = staging.completed_config(config, project, project.root)
    assert found["repository"]["url"] == "https://github.com/someone/attm"
    assert "launch_buttons" in found


def test_what_is_no_sound_book_is_refused(project):
    with pytest.raises(PublishingError, match=r"demo\.ipynb has not been executed for smoke"):
        staging.stage(project)
    pretend_executed(project, new_output("error", ename="E", evalue="v", traceback=["t"]))
    with pytest.raises(PublishingError, match="stored an error: E: v"):
        staging.stage(project)
    pretend_executed(project)
    with (project.root / "_config.yml").open("a") as stream:
        stream.write("title: again\n")
    with pytest.raises(ConfigError, match="'title' is given twice"):
        staging.stage(project)
    toc = project.root / "_toc.yml"
    (project.prose / "index.md").rename(project.prose / "forgotten.md")
    with pytest.raises(PublishingError, match=r"lists book/index,[\s\S]*forgotten is not in"):
        staging.stage(project)
    toc.write_text(toc.read_text() + "  - file: notebooks/demo\n")
    with pytest.raises(PublishingError, match="multiple times: 'notebooks/demo'"):
        staging.stage(project)


def test_texts_of_pictures_go_where_the_renderer_reads_them(project):
    words = {"image/png": {"alt": "A rising line", "caption": "Reward"}}
    picture = new_output("display_data", {"image/png": "AAAA"}, metadata=words)
    notebook = pretend_executed(project, picture)
    staged_notebooks.describe_pictures(notebook, "B")
    options = notebook.cells[2].metadata["mystnb"]
    assert options == {
        "image": {"alt": "A rising line", "classes": "attm-picture"},
        "figure": {"caption": "Level B. Reward"},
    }
    nbformat.validate(notebook)


def test_every_table_says_its_level(project):
    html = '<table class="attm-table"><caption>Rewards</caption></table><table><caption>x</caption>'
    notebook = pretend_executed(project, new_output("display_data", {"text/html": html}))
    staged_notebooks.badge_tables(notebook, "C")
    (output,) = notebook.cells[2].outputs
    assert '<caption><span class="attm-badge">Level C</span> Rewards' in output.data["text/html"]
    assert output.data["text/html"].endswith("<table><caption>x</caption>")


def test_a_level_is_stated_or_printed_or_a(project):
    source = make_notebook()
    said = new_output("stream", name="stdout", text="Level B: summary stored on …")
    assert staged_notebooks.page_level(pretend_executed(project), source) == "A"
    assert staged_notebooks.page_level(pretend_executed(project, said), source) == "B"
    source.metadata["attm"] = {"level": "C"}
    assert staged_notebooks.page_level(pretend_executed(project, said), source) == "C"


def test_parameters_stand_once_the_time_at_the_end_and_no_warning(project):
    said = [new_output("stream", name=name, text=name) for name in ("stderr", "stdout")]
    notebook = pretend_executed(project, *said)
    notebook.cells.insert(2, code_cell("# Parameters\nseed = 7", ["injected-parameters"]))
    staged_notebooks.prepare(notebook, make_notebook())
    kept = [output.name for cell in notebook.cells for output in cell.get("outputs", [])]
    assert kept == ["stdout"]
    parameters = [cell for cell in notebook.cells if "seed" in cell.source]
    assert [cell.source for cell in parameters] == ["# Parameters\nseed = 7"]
    assert "hide-input" in parameters[0].metadata.tags
    assert notebook.cells[-1].source == "*This page took 2 s to run with `profile = 'smoke'`.*"
    nbformat.validate(notebook)


def test_the_first_page_gets_what_cells_are_tagged_for_it(project):
    heard = new_output("display_data", {"text/html": '<audio src="static/a.flac"></audio>'})
    notebook = pretend_executed(project, new_output("display_data", {"text/html": "<p>no</p>"}))
    notebook.cells.append(code_cell("heard", ["landing"], [heard]))
    (project.executed / "static").mkdir()
    (project.executed / "static" / "a.flac").write_bytes(b"x")
    nbformat.write(notebook, project.executed / "demo.ipynb")
    page = staging.stage(project) / "book" / "generated" / "heard.html"
    assert page.read_text() == '<audio src="../notebooks/static/a.flac"></audio>'
    assert not page.with_name("results.png").exists(), "drawn only where there are results"


def test_an_answer_that_a_cell_computes_comes_before_any_folded_cell():
    said = nbformat.v4.new_output("display_data", {"text/html": "<p>It is so.</p>"})
    notebook = make_notebook(code_cell("say()", ["hide-input", "answer"], [said]))
    answer_first(notebook)
    assert notebook.cells[0].source.endswith("\n\n<p>It is so.</p>")
    assert notebook.cells[-1].outputs == []
