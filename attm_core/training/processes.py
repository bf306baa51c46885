"""One or several processes, as the launcher says (``torchrun …``, ``accelerate launch …``).

With several, each takes its share of every batch and gradients are averaged over all of them,
through NCCL on GPUs and gloo on CPUs: the numbers are those of one process, but for rounding.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from accelerate import Accelerator


def launched_accelerator() -> Accelerator | None:
    """The accelerator of the launcher that started this process; None if alone and on the CPU.

    Precision and accumulation stay with `attm_core.training.optimisation.OptimConfig`.
    """
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    if alone and not torch.cuda.is_available():
        return None
    from accelerate import Accelerator

    return Accelerator(mixed_precision="no", cpu=not torch.cuda.is_available())


class Processes:
    """What the training loop asks of its launcher; without an accelerator, one process.

    Attributes:
        count: number of processes.
        index: this one's number.
        is_main: whether this one writes files.
    """

    def __init__(self, accelerator: Accelerator | None = None) -> None:
        self._accelerator = accelerator
        self.count = accelerator.num_processes if accelerator else 1
        self.index = accelerator.process_index if accelerator else 0
        self.is_main = self.index == 0

    def place(self, model: nn.Module) -> nn.Module:
        """Move ``model`` to this process' device."""
        return model if self._accelerator is None else model.to(self._accelerator.device)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass averages gradients over the processes."""
        return (
            cast(nn.Module, self._accelerator.prepare_model(model)) if self._accelerator else model
        )

    def quiet(self, wrapped: nn.Module, last: bool) -> AbstractContextManager[object]:
        """Gradients are exchanged in the ``last`` part of a step only."""
        if self._accelerator is None or last:
            return nullcontext()
        return cast(AbstractContextManager[object], self._accelerator.no_sync(wrapped))

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the processes."""
        if self._accelerator is None:
            return values
        return cast(Tensor, self._accelerator.reduce(values, reduction="mean"))

    def wait(self) -> None:
        """Wait until every process is here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()
