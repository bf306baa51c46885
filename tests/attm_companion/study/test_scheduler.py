"""Stages in worker processes, and a stage in several (what they train: test_smoke_chain.py)."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pebble import ProcessExpired
from toy_stages import FragileStage, NumberStage, chain

from attm_companion.study import scheduler
from attm_companion.study.launch import Launch, launch_processes
from attm_companion.study.scheduler import ensure
from attm_companion.study.stage import LOCK_NAME, StageError, run_stage
from attm_core.errors import TrainingError
from attm_core.files import file_lock

HERE = Path(__file__).parent


def labels(log) -> list[str]:
    return [label for _, label in log()]


def alive(pid: int) -> bool:
    """Whether a process is there and is not just waiting to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_runs_what_is_missing_in_the_order_of_dependencies(toy_log, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    cached, last = NumberStage(value=2), chain()
    run_stage(cached)
    ensure([last, last.start], jobs=2)
    assert last.out()["value"] == (1 + 2) * 2 + 1
    assert labels(toy_log) == ["number 2", "number 1", "Sum", "Double"]
    assert capsys.readouterr().err.count("] ") == 3
    workers = {pid for pid, _ in toy_log()[1:]}
    assert os.getpid() not in workers
    assert last.extra.out()["threads"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "5"
    assert "MKL_NUM_THREADS" not in os.environ
    monkeypatch.setattr(scheduler, "ProcessPool", None)  # a complete cache starts no worker
    ensure([last, last.start])
    ensure([])
    assert len(toy_log()) == 4


def test_a_failing_stage_is_named_others_stay_and_it_may_be_tried_again(toy_log, tmp_path):
    broken = tmp_path / "broken"
    broken.touch()
    fragile, sound = FragileStage(broken=str(broken)), NumberStage(value=9)
    with pytest.raises(StageError, match=r"stage Fragile failed: [\s\S]*wires are crossed"):
        ensure([fragile, sound], jobs=2)
    assert NumberStage(value=9).done
    assert not FragileStage(broken=str(broken)).done
    broken.unlink()
    ensure([fragile, sound], jobs=1)
    assert sorted(labels(toy_log)) == ["Fragile", "number 9"]


def test_no_stage_is_ready_before_its_parents():
    last = chain()
    left, right = last.start.basket.pair.left, last.start.basket.pair.right
    waiting = [last, last.start, right, left]
    assert scheduler._ready(waiting, []) == [right, left]
    assert scheduler._ready([last, last.start, right], [left]) == [right]
    assert scheduler._ready([last, last.start], [right]) == []
    assert scheduler._ready([last, last.start], []) == [last.start]
    assert scheduler._ready([last, right], []) == [right]  # a damaged one below a sound one


def test_what_another_process_makes_is_waited_for_and_made_once(toy_log, capsys):
    stage, said = NumberStage(value=6), []
    with ThreadPoolExecutor(1) as here:
        with file_lock(stage.folder / LOCK_NAME):
            study = here.submit(ensure, [stage], 1)
            while not any("another process is making it" in line for line in said):
                assert not study.done()
                said.append(capsys.readouterr().err)
                time.sleep(0.1)
            assert labels(toy_log) == []
        study.result()
    assert labels(toy_log) == ["number 6"]


@pytest.mark.parametrize(
    ("ended", "cause"), [(signal.SIGKILL, "memory runs out"), (signal.SIGBUS, "disk is full")]
)
def test_what_ended_a_worker_is_said(ended, cause, own_folders):
    (own_folders / "cache").mkdir()
    error = ProcessExpired("Abnormal termination", code=-ended)
    assert f"{ended.name} (" in scheduler._death(error)
    assert cause in scheduler._death(error)


@pytest.mark.slow
def test_workers_of_a_killed_run_end_and_a_second_run_completes(toy_log, tmp_path):
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{os.environ.get('PYTHONPATH', '')}"}
    code = "import toy_stages as toys\nfrom attm_companion.study.scheduler import ensure\n"
    code += "ensure([toys.chain(sleep_s=30.0)], jobs=2)"
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as run:
        wait_until(lambda: len(toy_log()) == 2, limit_s=60)
        workers = {pid for pid, _ in toy_log()}
        assert len(workers) == 2
        assert all(map(alive, workers))
        os.kill(run.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(alive, workers)), limit_s=20)
    stages = chain(sleep_s=30.0)
    assert not any(stage.done for stage in (stages, stages.start, stages.extra))
    quick = chain()
    ensure([quick], jobs=1)
    assert quick.done


def cross_the_wires(accelerator) -> None:
    raise ValueError("the wires are crossed")


@pytest.mark.slow
def test_a_process_that_fails_is_an_error_of_ours(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(TrainingError, match=r"one of 2 processes failed: [\s\S]*wires are crossed"):
        launch_processes(cross_the_wires, Launch(processes=2), on_gpu=False)
