import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from training_toys import tiny_model, tiny_set, tiny_train

from attm_core.errors import CheckpointError
from attm_core.files import load_tensors, save_tensors
from attm_core.training.run import Run, launched_accelerator
from attm_core.training.sft import sft


def train(run: Run, accumulation: int) -> tuple[dict[str, torch.Tensor], pd.DataFrame]:
    model, stage = tiny_model(), tiny_train(accumulation=accumulation)
    log = sft(model, tiny_set(), tiny_set(8, seed=1), stage, run).log
    return model.state_dict(), log


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
    """This file is what the real launcher starts, two processes on the CPU (gloo)."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*launcher, "--nproc_per_node", "2", __file__, str(tmp_path / "two")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    weights, wanted = train(Run(tmp_path / "one"), accumulation=1)
    ranks = [load_tensors(tmp_path / "two" / f"rank{index}.safetensors") for index in (0, 1)]
    for name, weight in weights.items():
        assert torch.equal(ranks[0][name], ranks[1][name])
        torch.testing.assert_close(ranks[0][name], weight, atol=1e-4, rtol=1e-3)
    log = pd.read_csv(tmp_path / "two" / "log.csv")
    pd.testing.assert_frame_equal(log, wanted, rtol=1e-3)


if __name__ == "__main__":
    run = Run(Path(sys.argv[1]), accelerator=launched_accelerator())
    save_tensors(run.folder / f"rank{run.index}.safetensors", train(run, accumulation=2)[0])
    torch.distributed.destroy_process_group()
