import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from training_toys import tiny_model, tiny_set, tiny_train

from attm_core.errors import CheckpointError
from attm_core.files import load_tensors
from attm_core.training.run import Run, launched_accelerator
from attm_core.training.sft import sft

SCRIPT = Path(__file__).with_name("launched_run.py")


def launch(folder: Path, accumulation: int) -> None:
    """Run the script under the real launcher, two processes on the CPU (gloo)."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launcher, "--nproc_per_node", "2", str(SCRIPT), str(folder), str(accumulation)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_one_process_is_a_world_of_its_own(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert launched_accelerator() is None
    alone, model, values = Run(), tiny_model(), torch.tensor([1.0, 2.0])
    assert (alone.count, alone.index) == (1, 0)
    assert alone.wrap(alone.place(model)) is model
    assert torch.equal(alone.mean(values), values)


def test_what_is_made_once_is_read_back_and_of_one_run_only(tmp_path):
    run, calls = Run(tmp_path), []

    def make():
        calls.append(1)
        return {"x": torch.full((2,), float(len(calls)))}

    assert [run.once("x.safetensors", make, "a")["x"][0].item() for _ in range(2)] == [1.0, 1.0]
    with pytest.raises(CheckpointError, match="belongs to a run with another"):
        run.once("x.safetensors", make, "b")
    assert Run().once("x.safetensors", make, "a")["x"][0].item() == 2.0


@pytest.mark.slow
def test_two_launched_processes_of_two_parts_train_as_one(tmp_path):
    launch(tmp_path / "two", accumulation=2)
    model = tiny_model()
    alone = sft(model, tiny_set(), tiny_set(8, seed=1), tiny_train(), Run(tmp_path / "one"))
    ranks = [load_tensors(tmp_path / "two" / f"rank{index}.safetensors") for index in (0, 1)]
    for name, weight in model.state_dict().items():
        assert torch.equal(ranks[0][name], ranks[1][name])
        torch.testing.assert_close(ranks[0][name], weight, atol=1e-4, rtol=1e-3)
    log = pd.read_csv(tmp_path / "two" / "log.csv")
    pd.testing.assert_frame_equal(log, alone.log, rtol=1e-3)
