"""One or several processes, as the launcher says (``accelerate launch …``, ``torchrun …``)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import Accelerator


def launched_accelerator() -> Accelerator | None:
    """The accelerator of the launcher that started this process; None if it runs alone on the CPU.

    With several processes (``WORLD_SIZE`` > 1) gradients are averaged over them, through NCCL on
    GPUs and gloo on CPUs. Precision and accumulation stay with
    `attm_core.training.optimisation.OptimConfig`.
    """
    import torch

    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    if alone and not torch.cuda.is_available():
        return None
    from accelerate import Accelerator

    return Accelerator(mixed_precision="no", cpu=not torch.cuda.is_available())
