"""Corpus to CRPO to scores in one go, and killed once in each of the three training stages."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from chain_run import hybrid

from attm_companion.study.frozen import WEIGHTS
from attm_companion.study.launch import Launch
from attm_companion.study.stage import RECORD_NAME, ancestry, run_stage
from attm_core.files import load_tensors

SCRIPT = Path(__file__).with_name("chain_run.py")
LIMIT_S = 600.0
BIT_FOR_BIT = {"rtol": 0, "atol": 0, "equal_nan": True}


def start(cache):
    """The chain in a process group of its own, so that a kill meets its workers too."""
    environment = {**os.environ, "ATTM_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    facts = {"env": environment, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, str(SCRIPT)], start_new_session=True, **facts)


def finish(cache):
    """Run to the end; the labels of the stages it ran."""
    with start(cache) as run:
        _, said = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 0, said[-3000:]
    return re.findall(r"^\[\d+/\d+, \d+ s\] (.*)$", said, re.MULTILINE)


def kill_in(stage, cache):
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The cache of a chain that nothing disturbed; its labels are checked on the way."""
    cache = tmp_path_factory.mktemp("whole")
    labels = finish(cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTM_CACHE", str(cache))
        assert sorted(labels) == sorted(stage.label for stage in ancestry([hybrid()]))
    return cache


def trained(condition):
    """SFT, expert iteration and CRPO of a condition of the hybrid."""
    crpo = condition.weights
    return [crpo.start.start, crpo.start, crpo]


def weights(stage, cache):
    """The weights that a stage left in one of the caches."""
    return load_tensors(cache / stage.uid / WEIGHTS)


def without(whole, stages, cache):
    """Copy a cache but for some stages."""
    left_out = {stage.uid for stage in stages}
    shutil.copytree(whole, cache, ignore=lambda _, names: left_out & set(names))


@pytest.mark.slow
def test_a_chain_killed_in_every_training_ends_as_if_it_had_not_been(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTM_CACHE", str(whole))
    undisturbed, cut = hybrid(), tmp_path / "cut"
    without(whole, [*trained(undisturbed), undisturbed], cut)
    monkeypatch.setenv("ATTM_CACHE", str(cut))
    resumed = hybrid()
    for stage in trained(resumed):
        kill_in(stage, cut)
    assert finish(cut) == [resumed.weights.label, resumed.label]

    for stage in trained(resumed):
        torch.testing.assert_close(weights(stage, cut), weights(stage, whole), **BIT_FOR_BIT)
    resumed_scores = vars(resumed.scores())
    monkeypatch.setenv("ATTM_CACHE", str(whole))  # a stage's folder is in the cache of the moment
    torch.testing.assert_close(resumed_scores, vars(undisturbed.scores()), **BIT_FOR_BIT)
    assert np.ptp(undisturbed.scores().reward) > 0


@pytest.mark.slow
def test_two_processes_train_every_stage_to_the_weights_of_one(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTM_CACHE", str(whole))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone, shared = trained(hybrid()), tmp_path / "shared"
    without(whole, alone, shared)
    monkeypatch.setenv("ATTM_CACHE", str(shared))
    for one, same in zip(alone, trained(hybrid()), strict=True):
        values = same.model_dump() | {"launch": Launch(processes=2)}
        both = type(same).model_validate(values)
        assert both.uid == one.uid
        run_stage(both)
        ones, others = weights(both, whole), weights(both, shared)
        assert set(ones) == set(others)
        # Adam turns the rounding of a small gradient into a whole step, so single weights may
        # differ by a few of them; all together hardly do.
        apart = sum(float((ones[name] - others[name]).square().sum()) for name in ones)
        size = sum(float(weights.square().sum()) for weights in ones.values())
        assert 0 < apart < (1e-2) ** 2 * size, f"{both.label}: {(apart / size) ** 0.5:.1e}"
