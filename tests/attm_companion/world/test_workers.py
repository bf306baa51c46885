import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from attm_companion.world.workers import run_tasks
from attm_core.errors import ConfigError, RenderError


def _misbehave(how: str, number: int) -> int:
    if number == 1 and how == "sleep":
        time.sleep(3600)
    if number == 1 and how == "die":
        os._exit(3)
    if number == 1 and how == "raise":
        raise ValueError("one is not playable")
    return number * number


def _note_pid(folder: Path, number: int) -> int:
    if number == 0:
        (folder / "pid").write_text(str(os.getpid()))
        time.sleep(3600)
    return number


def test_a_hung_process_is_killed(tmp_path: Path) -> None:
    results = dict(run_tasks(partial(_note_pid, tmp_path), [0, 1], 1, 1.0))
    assert results[1] == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    with pytest.raises(ConfigError, match="workers must be at least 1"):
        next(run_tasks(partial(_misbehave, ""), [1], 0, 1.0))


def test_a_script_without_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import math\n"
        "from attm_companion.world.workers import run_tasks\n"
        "print(list(run_tasks(math.sqrt, [4.0, 9.0], 1, 30.0)))\n"
    )
    finished = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 1 and "worker processes do not start" in finished.stderr


@pytest.mark.parametrize(
    ("how", "said"),
    [("sleep", "no answer within 2 s"), ("die", "died"), ("raise", "ValueError: one is not")],
)
def test_a_task_that_fails_is_given_up_and_the_others_are_done(how: str, said: str) -> None:
    results = dict(run_tasks(partial(_misbehave, how), [0, 1, 2, 3], 1, 2.0))
    assert [results[i] for i in (0, 2, 3)] == [0, 4, 9]
    assert isinstance(results[1], RenderError)
    assert said in str(results[1])
