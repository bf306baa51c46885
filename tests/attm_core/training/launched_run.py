"""A training run for a launcher: ``torchrun … launched_run.py FOLDER ACCUMULATION``."""

import sys
from pathlib import Path

import torch
from training_toys import tiny_model, tiny_set, tiny_train

from attm_core.files import save_tensors
from attm_core.training.run import Run, launched_accelerator
from attm_core.training.sft import sft

if __name__ == "__main__":
    folder, accumulation = Path(sys.argv[1]), int(sys.argv[2])
    accelerator = launched_accelerator()
    run, model = Run(folder, accelerator=accelerator), tiny_model()
    sft(model, tiny_set(), tiny_set(8, seed=1), tiny_train(accumulation=accumulation), run)
    save_tensors(folder / f"rank{run.index}.safetensors", model.state_dict())
    if accelerator is not None:
        torch.distributed.destroy_process_group()
