"""Weight files of other people: read without running their code, loaded whole or not at all."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attm_core.errors import CheckpointError
from attm_core.files import load_tensors

SHOWN_PROBLEMS = 5


def read_state_dict(path: Path, inner_key: str | None = None) -> dict[str, Tensor]:
    """Named tensors of a safetensors file or of a pickle, on the CPU; no code in it can run.

    Args:
        path: a ``.safetensors`` file, or any other suffix for what ``torch.save`` wrote.
        inner_key: where in a pickled mapping the state dict is; None: it is the whole file.

    Raises:
        CheckpointError: the file is missing, corrupt or truncated, holds code, or is not a mapping
            from names to tensors.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return load_tensors(path)
    content = _read_pickle(path)
    if inner_key is not None:
        content = content.get(inner_key) if isinstance(content, Mapping) else None
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        place = f" under {inner_key!r}" if inner_key is not None else ""
        raise CheckpointError(f"{path} holds no state dict of tensors{place}; fetch it again")
    return dict(content)


def require_fit(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], source: str) -> None:
    """Check names, shapes and values of a state dict before anything of it is loaded.

    Args:
        wanted: the state dict of the module to fill (the meta device will do).
        given: the tensors that were read.
        source: what the message calls them, such as the path.

    Raises:
        CheckpointError: tensors are missing, unknown, of another shape, or not finite.
    """
    problems = [
        *(f"{name} is missing" for name in wanted if name not in given),
        *(f"{name} is unknown" for name in given if name not in wanted),
        *_misfits(wanted, given),
    ]
    if problems:
        shown = "; ".join(problems[:SHOWN_PROBLEMS]) + (" …" * (len(problems) > SHOWN_PROBLEMS))
        raise CheckpointError(f"{source} does not fit, {len(problems)} problem(s): {shown}")


def _misfits(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    problems = []
    for name in wanted.keys() & given.keys():
        got, want = tuple(given[name].shape), tuple(wanted[name].shape)
        if got != want:
            problems.append(f"{name} has shape {got}, wanted {want}")
        elif not bool(torch.isfinite(given[name]).all()):
            problems.append(f"{name} holds NaN or infinity")
    return sorted(problems)


def _read_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist; fetch it first") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is corrupt, or holds more than tensors, which is never run: fetch it again "
            "from its source"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError) as error:
        first_line = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path} is corrupt or truncated ({first_line}); fetch it again"
        ) from error
