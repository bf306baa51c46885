"""A run: where it keeps its files, what seeds it, and the processes that share its work.

With several processes (``torchrun …``, ``accelerate launch …``) each takes its share of every batch
and gradients are averaged over all of them, through NCCL on GPUs and gloo on CPUs: the numbers are
those of one process, but for rounding. The first process writes the files.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from attm_core.errors import CheckpointError
from attm_core.files import load_tensors, read_metadata, save_tensors

if TYPE_CHECKING:
    from accelerate import Accelerator

IDENTITY = "identity"


def launched_accelerator() -> Accelerator | None:
    """The accelerator of the launcher that started this process; None if alone and on the CPU."""
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    if alone and not torch.cuda.is_available():
        return None
    from accelerate import Accelerator, InitProcessGroupKwargs

    # The others wait while the first process samples: hours at full size.
    patient = InitProcessGroupKwargs(timeout=timedelta(days=2))
    on_cpu = not torch.cuda.is_available()
    return Accelerator(mixed_precision="no", cpu=on_cpu, kwargs_handlers=[patient])


@dataclass(frozen=True)
class Run:
    """Where a procedure works: one process, or several that ``accelerator`` joins."""

    folder: Path | None = None  # a killed run goes on from its files there; None keeps nothing
    seed: int = 42  # of everything random in it
    accelerator: Accelerator | None = None

    @property
    def count(self) -> int:
        """Number of processes."""
        return self.accelerator.num_processes if self.accelerator else 1

    @property
    def index(self) -> int:
        """This process' number; process 0 writes the files."""
        return self.accelerator.process_index if self.accelerator else 0

    def part(self, name: str) -> Run:
        """The run in a subfolder."""
        return replace(self, folder=self.folder and Path(self.folder) / name)

    def once(
        self, name: str, make: Callable[[], dict[str, Tensor]], identity: str
    ) -> dict[str, Tensor]:
        """Tensors that are made once: by the first process, into a file that all read back.

        ``identity`` hashes what they follow from, see `identity_of`.

        Raises:
            CheckpointError: the file is of another run, or unreadable.
        """
        if self.folder is None:
            return make()
        path = Path(self.folder) / name
        if self.index == 0 and not path.exists():
            save_tensors(path, make(), {IDENTITY: identity})
        self.wait()
        check_identity(path, identity)
        return load_tensors(path)

    def place(self, model: nn.Module) -> nn.Module:
        """Move ``model`` to this process' device."""
        return model if self.accelerator is None else model.to(self.accelerator.device)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass averages gradients over the processes."""
        return cast(nn.Module, self.accelerator.prepare_model(model)) if self.accelerator else model

    def quiet(self, wrapped: nn.Module, last: bool) -> AbstractContextManager[object]:
        """Gradients are exchanged in the ``last`` part of a step only."""
        if self.accelerator is None or last:
            return nullcontext()
        return cast(AbstractContextManager[object], self.accelerator.no_sync(wrapped))

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the processes."""
        if self.accelerator is None:
            return values
        return cast(Tensor, self.accelerator.reduce(values, reduction="mean"))

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()


def tensors_digest(tensors: Iterable[Tensor]) -> str:
    """A hash of the shapes and contents of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def identity_of(description: Mapping[str, Any], model: nn.Module) -> str:
    """A hash of what determines a run: its description (JSON) and its starting weights."""
    weights = model.state_dict()
    start = {"names": list(weights), "weights": tensors_digest(weights.values())}
    text = json.dumps({"run": description, "start": start}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def check_identity(path: Path, identity: str) -> Mapping[str, str]:
    """The metadata of a file of this run.

    Raises:
        CheckpointError: it belongs to another configuration, data set or starting weights.
    """
    metadata = read_metadata(path)
    if metadata.get(IDENTITY) != identity:
        raise CheckpointError(
            f"{path} belongs to a run with another configuration, data set or starting weights; "
            "choose another folder, or delete this one to start again"
        )
    return metadata
