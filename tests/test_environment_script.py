"""`scripts/environment` with a stand-in for Python that only leaves traces of what it was asked."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FAKE_PYTHON = """#!/usr/bin/env bash
case "$*" in
  "-V") echo "Python 3.11.9" ;;
  *Python.h*) echo "$0" ;;
  "-c "*) exit 0 ;;
  "-m venv .venv")
    mkdir -p .venv/bin && cp "$0" .venv/bin/python
    printf '#!/usr/bin/env bash\\necho "uv $*" >>calls\\n[ ! -e kill-uv ]\\n' >.venv/bin/uv
    chmod +x .venv/bin/uv; echo venv >>calls ;;
  *) echo "python $*" >>calls; [ ! -e kill-pip ] || ! grep -q requirements.lock <<<"$*" ;;
esac
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "scripts").mkdir()
    shutil.copy2(ROOT / "scripts" / "environment", tmp_path / "scripts")
    for name in ("requirements", "requirements-bootstrap", "requirements-build"):
        (tmp_path / f"{name}.lock").write_text(name)
    (tmp_path / "pyproject.toml").write_text("")
    python = tmp_path / "python3.11"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return tmp_path


def run(project: Path) -> tuple[int, list[str]]:
    """Exit status and what was called."""
    calls = project / "calls"
    calls.unlink(missing_ok=True)
    command = ["bash", "scripts/environment"]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHON": str(project / "python3.11")}
    finished = subprocess.run(command, cwd=project, env=environment, capture_output=True)
    return finished.returncode, calls.read_text().splitlines() if calls.exists() else []


def test_it_installs_only_hashed_files_and_a_changed_lock_into_the_same_environment(project):
    status, calls = run(project)
    assert status == 0
    assert calls[0] == "venv"
    assert "--require-hashes -r requirements-bootstrap.lock" in calls[1]
    assert calls[2].startswith("uv pip install") and "--no-deps" in calls[2]
    assert "--require-hashes --build-constraints requirements-build.lock" in calls[2]
    assert calls[2].endswith("-r requirements.lock")
    assert "--no-deps" in calls[3] and "--editable ." in calls[3]
    assert len(calls) == 4
    assert run(project) == (0, []), "nothing changed"
    (project / "requirements.lock").write_text("changed")
    status, calls = run(project)
    assert status == 0
    assert "venv" not in calls
    assert any("-r requirements.lock" in call for call in calls)


def test_a_killed_installation_is_started_afresh(project):
    for name in ("kill-uv", "kill-pip"):
        (project / name).touch()
    assert run(project)[0] != 0
    assert not (project / ".venv/.installed").exists()
    (project / ".venv/left-over").touch()
    (project / ".venv/bin/python").write_text("not a program")
    for name in ("kill-uv", "kill-pip"):
        (project / name).unlink()
    status, calls = run(project)
    assert (status, calls[0]) == (0, "venv")
    assert not (project / ".venv/left-over").exists()


def test_pip_takes_over_where_uv_cannot(project):
    (project / "kill-uv").touch()
    status, calls = run(project)
    assert status == 0
    build, taken = calls[-3:-1]  # what builds the source packages, then all of them
    for call in (build, taken):
        assert call.startswith("python -m pip") and "--require-hashes" in call
    assert build.endswith("-r requirements-build.lock") and "--no-deps" in build
    assert taken.endswith("-r requirements.lock") and "--no-deps --no-build-isolation" in taken
