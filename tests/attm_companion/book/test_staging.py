import nbformat
import pytest
from nbformat.v4 import new_output
from publishing_samples import code_cell, make_notebook, pretend_executed

from attm_companion.book import PublishingError, staged_notebooks, staging
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
    (project.root / "attm_core" / "facts.yaml").write_text("a: 1\nb: 2\n")
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
    code = (extra / "source" / "attm_core" / "code.py.html").read_text()
    for words in ('<html lang="en">', 'id="L-1"', 'id="L-3"', "&lt;b&gt;"):
        assert words in code
    assert 'id="L-2"' in (extra / "source" / "attm_core" / "facts.yaml.html").read_text()


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
        stream.write("own:\n  title: once\n  title: again\n")
    with pytest.raises(ConfigError, match=r"_config.yml, line \d+: 'title' is given twice"):
        staging.stage(project)
    toc = project.root / "_toc.yml"
    (project.prose / "index.md").rename(project.prose / "forgotten.md")
    with pytest.raises(
        PublishingError, match=r"2 problem[\s\S]*lists book/index,[\s\S]*- .*forgotten is not in"
    ):
        staging.stage(project)
    toc.write_text(toc.read_text() + "  - file: notebooks/demo\n")
    with pytest.raises(PublishingError, match="multiple times: 'notebooks/demo'"):
        staging.stage(project)
    toc.write_text("a: &few [x, x]\nb: [*few, *few]\n")  # a bomb begins so
    with pytest.raises(ConfigError, match=r"_toc.yml is not valid YAML: aliases are not allowed"):
        staging.stage(project)
    toc.unlink()
    with pytest.raises(ConfigError, match=r"_toc.yml does not exist"):
        staging.stage(project)


def test_a_page_has_its_answer_first_parameters_once_levels_texts_and_the_time(project):
    words = {"image/png": {"alt": "A rising line", "caption": "Reward"}}
    html = '<table class="attm-table"><caption>Rewards</caption></table><table><caption>x</caption>'
    outputs = [new_output("stream", name=name, text=name) for name in ("stderr", "stdout")]
    outputs.append(new_output("display_data", {"image/png": "AAAA"}, metadata=words))
    outputs.append(new_output("display_data", {"text/html": html}))
    notebook, source = pretend_executed(project, *outputs), make_notebook()
    said = new_output("display_data", {"text/html": "<p>It is so.</p>"})
    notebook.cells.append(code_cell("say()", ["hide-input", "answer"], [said]))
    notebook.cells.insert(2, code_cell("# Parameters\nseed = 7", ["injected-parameters"]))
    source.metadata["attm"] = {"level": "B"}
    staged_notebooks.prepare(notebook, source)
    nbformat.validate(notebook)

    title, parameters, shown, answer, time = notebook.cells
    assert title.source.endswith("\n\n<p>It is so.</p>") and answer.outputs == []
    assert parameters.source == "# Parameters\nseed = 7"
    assert "hide-input" in parameters.metadata.tags
    assert time.source == "*This page took 2 s to run with `profile = 'smoke'`.*"
    printed, _, table = shown.outputs
    assert printed.name == "stdout"
    assert shown.metadata["mystnb"] == {
        "image": {"alt": "A rising line", "classes": "attm-picture"},
        "figure": {"caption": "Level B. Reward"},
    }
    badge = '<caption><span class="attm-badge">Level B</span> Rewards'
    assert badge in table.data["text/html"]
    assert table.data["text/html"].endswith("<table><caption>x</caption>")


def test_a_level_is_stated_or_printed_or_a(project):
    source = make_notebook()
    said = new_output("stream", name="stdout", text="Level B: summary stored on …")
    assert staged_notebooks.page_level(pretend_executed(project), source) == "A"
    assert staged_notebooks.page_level(pretend_executed(project, said), source) == "B"
    source.metadata["attm"] = {"level": "C"}
    assert staged_notebooks.page_level(pretend_executed(project, said), source) == "C"


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
