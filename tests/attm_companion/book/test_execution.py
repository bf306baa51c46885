import os
import subprocess
import sys
import time

import nbformat
import pytest
from publishing_samples import code_cell, make_notebook

from attm_companion.book import PublishingError, execution
from attm_companion.book.execution import execute_all, plan


def write(layout, name, *cells):
    nbformat.write(make_notebook(*cells), layout.notebooks / f"{name}.ipynb")


def test_plan_names_copies_and_keeps_runs_with_options_apart(project):
    (run,) = plan(project)
    assert (run.parameters, run.is_current) == ({"profile": "smoke"}, False)
    assert run.output == project.executed / "demo.ipynb"
    (run,) = plan(project, ["demo"], {"seed": "7"})
    assert run.parameters == {"profile": "smoke", "seed": 7}
    assert run.output.parent.name.startswith("smoke+")


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("attm_core/code.py", True),
        ("notebooks/demo.ipynb", True),
        ("results/smoke/table.csv", True),
        ("results/claims.json", True),
        ("results/smoke/table.json", False),  # with its date
    ],
)
def test_what_a_copy_depends_on_is_in_its_stamp(project, name, counts):
    (before,) = plan(project)
    assert plan(project)[0].stamp == before.stamp
    path = project.root / name
    path.write_text(path.read_text() + "\n" if path.exists() else "{}")
    assert (plan(project)[0].stamp != before.stamp) is counts


def test_a_good_and_a_failing_notebook(project):
    sound = "from IPython.display import HTML\nimport os, pathlib\n"
    sound += 'pathlib.Path(os.environ["ATTM_STATIC_DIR"], "a.mp3").write_text("x")\n'
    sound += "HTML('<audio src=\"static/a.mp3\"></audio>')"
    write(project, "demo", code_cell(sound))
    write(project, "failing", code_cell("1 / 0"))
    message = r"(?s)1 problem.*failing.ipynb, In \[3\].*1 / 0.*ZeroDivisionError"
    with pytest.raises(PublishingError, match=message):
        execute_all(project, plan(project), jobs=2)
    good, failing = plan(project)
    assert good.is_current and not failing.is_current
    assert not failing.output.exists()
    assert (project.executed / "failed" / "failing.ipynb").is_file()
    said = execution.describe_failure("a.ipynb", project.executed / "never.ipynb", "no kernel")
    assert said == "a.ipynb: no kernel"
    assert execute_all(project, [good]) == []
    (project.executed / "static" / "a.mp3").unlink()
    assert not good.is_current


def test_papermill_by_hand_refuses_a_misspelt_parameter(project):
    check = "from attm_companion.notebook_parameters import check_injected\ncheck_injected()"
    write(project, "demo", code_cell(check))
    command = [sys.executable, "-m", "papermill", str(project.notebooks / "demo.ipynb")]
    command += [str(project.root / "out.ipynb"), "--cwd", str(project.root), "-p", "sede", "7"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode != 0
    assert "no parameter 'sede'; did you mean 'seed'" in finished.stderr


def test_threads_are_shared_among_jobs_unless_set(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert execution._environment(tmp_path, 2)["OMP_NUM_THREADS"] == "4"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert execution._environment(tmp_path, 2)["OMP_NUM_THREADS"] == "1"
    assert execution._environment(tmp_path, 2)["ATTM_STATIC_DIR"] == str(tmp_path)


def test_an_interrupt_starts_nothing_more(project, monkeypatch):
    for number in range(6):
        write(project, f"other-{number}")
    calls = []

    def interrupted(layout, run, jobs):
        calls.append(run.source.name)
        if len(calls) == 1:
            raise KeyboardInterrupt
        time.sleep(0.5)

    monkeypatch.setattr(execution, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        execute_all(project, plan(project), jobs=1)
    assert len(calls) <= 2


def test_what_killed_runs_left_is_deleted_and_nothing_else(project):
    running = project.executed / "running"
    running.mkdir(parents=True)
    kept = running / f"demo-{os.getpid()}.ipynb"
    for path in (kept, running / "demo-99999999.ipynb", running / "two-words-99999999.yaml"):
        path.write_text("")
    execute_all(project, [])
    assert list(running.iterdir()) == [kept]
