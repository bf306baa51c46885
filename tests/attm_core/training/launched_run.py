"""A training run for a launcher: ``torchrun … launched_run.py FOLDER ACCUMULATION``."""

import sys
from pathlib import Path

import torch

from attm_core.files import save_tensors
from attm_core.training.optimisation import OptimConfig
from attm_core.training.processes import launched_accelerator
from attm_core.training.sft import SFTConfig, train_sft

sys.path.insert(0, str(Path(__file__).parent))
from conftest import tiny_model, tiny_set, tiny_train

if __name__ == "__main__":
    folder, accumulation = Path(sys.argv[1]), int(sys.argv[2])
    accelerator = launched_accelerator()
    optim = OptimConfig(lr=1e-2, warmup_steps=3, precision="fp32", accumulation=accumulation)
    config, model = SFTConfig(tiny_train(optim=optim), batch_size=8), tiny_model()
    train_sft(model, tiny_set(), tiny_set(8, seed=1), config, folder, accelerator=accelerator)
    index = 0 if accelerator is None else accelerator.process_index
    save_tensors(folder / f"rank{index}.safetensors", model.state_dict())
    if accelerator is not None:
        torch.distributed.destroy_process_group()
