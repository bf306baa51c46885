"""The state of a run in one file, whole or absent, so that a kill at any instant loses little.

``state.safetensors`` holds the weights, the optimiser's moments, the averages and the log so far;
its metadata say which run it belongs to. One file, renamed into place: there is no moment at which
its parts could disagree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from attm_core.errors import CheckpointError
from attm_core.files import load_tensors, save_tensors


@dataclass(frozen=True)
class RunState:
    """A run after ``n_done`` steps: named tensors and the columns of its log."""

    n_done: int
    tensors: dict[str, Tensor]
    columns: list[str]

    def group(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``prefix.``, without it."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }


def write_state(path: Path, state: RunState, identity: str) -> None:
    """Write ``state`` atomically, marked with the ``identity`` of its run."""
    metadata = {
        "n_done": str(state.n_done),
        "columns": json.dumps(state.columns),
        "identity": identity,
    }
    save_tensors(path, state.tensors, metadata)


def read_state(path: Path, identity: str) -> RunState | None:
    """The state stored at ``path``, or None if there is none yet.

    Raises:
        CheckpointError: the file is unreadable, or belongs to a run with another configuration,
            other data or other starting weights.
    """
    if not path.exists():
        return None
    tensors = load_tensors(path)
    metadata = _metadata(path)
    if metadata.get("identity") != identity:
        raise CheckpointError(
            f"{path} belongs to a run with another configuration, data set or starting weights; "
            "choose another folder, or delete this one to start again"
        )
    return RunState(int(metadata["n_done"]), tensors, json.loads(metadata["columns"]))


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as stream:
        return dict(stream.metadata() or {})


def tensors_digest(tensors: Iterable[Tensor]) -> str:
    """A hash of the shapes and contents of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def run_identity(description: Mapping[str, Any], model: nn.Module) -> str:
    """A hash of what determines a run: its description (JSON) and its starting weights."""
    weights = model.state_dict()
    start = {"names": list(weights), "weights": tensors_digest(weights.values())}
    text = json.dumps({"run": description, "start": start}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's moments as named tensors, ``{parameter}.{moment}``."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{key}": tensor for index, own in state.items() for key, tensor in own.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take up moments given by `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
