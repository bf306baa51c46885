import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from attm_companion.world.workers import run_tasks
from attm_core.errors import ConfigError, RenderError


def _square(number: int) -> int:
    return number * number


def _sometimes_hang(number: int) -> int:
    if number == 1:
        time.sleep(3600)
    return number


def _sometimes_die(number: int) -> int:
    if number == 0:
        os._exit(3)
    return number


def _sometimes_raise(number: int) -> int:
    if number == 2:
        raise ValueError("two is not playable")
    return number


def _note_pid(folder: Path, number: int) -> int:
    if number == 0:
        (folder / "pid").write_text(str(os.getpid()))
        time.sleep(3600)
    return number


def test_results_by_index() -> None:
    assert dict(run_tasks(_square, [3, 4, 5], 2, 30.0)) == {0: 9, 1: 16, 2: 25}


def test_a_task_that_sleeps_is_given_up_and_the_others_are_done() -> None:
    began = time.monotonic()
    results = dict(run_tasks(_sometimes_hang, [0, 1, 2, 3], 1, 1.0))
    assert time.monotonic() - began < 60
    assert [results[i] for i in (0, 2, 3)] == [0, 2, 3]
    assert isinstance(results[1], RenderError)
    assert "no answer within 1 s" in str(results[1])


def test_a_hung_process_is_killed(tmp_path: Path) -> None:
    results = dict(run_tasks(partial(_note_pid, tmp_path), [0, 1], 1, 1.0))
    assert results[1] == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_worker_that_dies_is_replaced() -> None:
    results = dict(run_tasks(_sometimes_die, [0, 1, 2], 1, 30.0))
    assert (results[1], results[2]) == (1, 2)
    assert "died" in str(results[0])


def test_an_exception_is_the_task_s_own() -> None:
    results = dict(run_tasks(_sometimes_raise, [1, 2, 3], 1, 30.0))
    assert (results[0], results[2]) == (1, 3)
    assert "ValueError: two is not playable" in str(results[1])


def test_no_worker_is_refused() -> None:
    with pytest.raises(ConfigError, match="workers must be at least 1"):
        next(run_tasks(_square, [1], 0, 1.0))


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
