"""Corpus to CRPO to scores in one go, and killed once in each of the three training stages."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain_run import hybrid

from attm_core.files import load_tensors
from attm_core.study.frozen import WEIGHTS
from attm_core.study.stage import RECORD_NAME, Stage, ancestry

SCRIPT = Path(__file__).with_name("chain_run.py")
LIMIT_S = 600.0


def start(cache: Path) -> subprocess.Popen[str]:
    """The chain in a process group of its own, so that a kill meets its workers too."""
    environment = {**os.environ, "ATTM_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(SCRIPT)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=environment, stderr=pipe, text=True, start_new_session=True
    )


def finish(cache: Path) -> list[str]:
    """Run to the end; the labels of the stages it ran."""
    with start(cache) as run:
        _, said = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 0, said[-3000:]
    return re.findall(r"^\[\d+/\d+, \d+ s\] (.*)$", said, re.MULTILINE)


def kill_in(stage: Stage, cache: Path) -> None:
    """Run until the training of a stage has saved its state for the first time, then kill -9."""
    deadline = time.monotonic() + LIMIT_S
    with start(cache) as run:
        while not list((stage.folder / "run").rglob("state.safetensors")):
            assert run.poll() is None, run.stderr.read()[-3000:]
            assert time.monotonic() < deadline, f"{stage.label} was never reached"
            time.sleep(0.01)
        os.killpg(run.pid, signal.SIGKILL)
    assert not (stage.folder / RECORD_NAME).exists(), f"{stage.label} ended before it was killed"
    assert not stage.done


def assert_equal(ones: Mapping[str, Any], others: Mapping[str, Any]) -> None:
    """The same arrays under the same names, bit for bit."""
    assert set(ones) == set(others)
    for name, one in ones.items():
        np.testing.assert_array_equal(np.asarray(one), np.asarray(others[name]), err_msg=name)


@pytest.mark.slow
def test_a_chain_killed_in_every_training_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    monkeypatch.setenv("ATTM_CACHE", str(whole))
    undisturbed = hybrid()
    labels = finish(whole)
    assert sorted(labels) == sorted(stage.label for stage in ancestry([undisturbed]))
    crpo = undisturbed.weights
    trained = [crpo.start.start, crpo.start, crpo]
    again = {stage.uid for stage in (*trained, undisturbed)}
    shutil.copytree(whole, cut, ignore=lambda _, names: again & set(names))

    monkeypatch.setenv("ATTM_CACHE", str(cut))
    resumed = hybrid()
    chain = [resumed.weights.start.start, resumed.weights.start, resumed.weights]
    for stage in chain:
        kill_in(stage, cut)
    assert finish(cut) == labels[-2:]

    for one, other in zip(trained, chain, strict=True):
        assert_equal(load_tensors(one.folder / WEIGHTS), load_tensors(other.folder / WEIGHTS))
    assert_equal(vars(undisturbed.scores()), vars(resumed.scores()))
    assert np.ptp(undisturbed.scores().reward) > 0
