import os
import subprocess
import sys
import time
from functools import partial

import pytest

from attm_companion.world.workers import run_tasks
from attm_core.errors import ConfigError, RenderError


def _misbehave(folder, how, number):
    if number == 1:
        (folder / "pid").write_text(str(os.getpid()))
    if number == 1 and how == "sleep":
        time.sleep(3600)
    if number == 1 and how == "die":
        os._exit(3)
    if number == 1 and how == "raise":
        raise ValueError("one is not playable")
    return number * number


def test_a_script_without_guard_is_told_so(tmp_path):
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
def test_a_task_that_fails_is_given_up_and_the_others_are_done(tmp_path, how, said):
    results = dict(run_tasks(partial(_misbehave, tmp_path, how), [0, 1, 2, 3], 1, 2.0))
    assert [results[i] for i in (0, 2, 3)] == [0, 4, 9]
    assert isinstance(results[1], RenderError)
    assert said in str(results[1])
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    with pytest.raises(ConfigError, match="workers must be at least 1"):
        next(run_tasks(partial(_misbehave, tmp_path, how), [1], 0, 1.0))
