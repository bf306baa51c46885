from pathlib import Path

import pytest

from attm_companion.book import execution
from attm_companion.commands.cli import build_parser
from attm_core.errors import ConfigError


@pytest.fixture
def run(project, monkeypatch):
    monkeypatch.chdir(project.root)

    def call(*words):
        arguments = build_parser().parse_args(words)
        return arguments.run(arguments)

    return call


def test_notebooks_reports_what_it_did(run, project, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(execution, "execute", lambda _, run, jobs: ran.append(run.parameters))
    assert run("notebooks", "--profile", "smoke", "-p", "seed", "7") == 0
    assert ran == [{"profile": "smoke", "seed": 7}]
    assert "1 notebook(s) executed" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="'seed' is given twice"):
        run("notebooks", "-p", "seed", "7", "-p", "seed", "8")


def test_a_profile_by_its_path_has_the_folders_of_its_name(run, project, monkeypatch, tmp_path):
    shipped = Path(__file__).parents[3] / "attm_companion/study/profiles/smoke.yaml"
    own = tmp_path / "mine.yaml"
    own.write_text(shipped.read_text().replace("name: smoke", "name: own"))
    ran = []
    monkeypatch.setattr(execution, "execute", lambda _, run, jobs: ran.append(run))
    assert run("notebooks", "--profile", "mine.yaml") == 0
    assert ran[0].parameters == {"profile": str(own)}
    assert ran[0].output.parent == project.root / "_build" / "notebooks" / "own"
