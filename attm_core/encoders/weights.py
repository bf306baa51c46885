"""Published weights of the paper's encoders: read without running code, loaded strictly.

Safetensors hold tensors only. Pickles are read with ``weights_only=True``: whatever would call a
function that is not on a short list of constructors of plain data is refused.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from attm_core.assets import asset_folder
from attm_core.errors import AssetError, CheckpointError

READ_ERRORS = (RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError)


def require_files(asset: str, names: Sequence[str], folder: Path | None = None) -> Path:
    """The folder that holds the files ``names`` of an asset.

    Args:
        asset: name in the manifest of assets.
        names: files that must be there.
        folder: where to look; the asset's own folder if None.

    Raises:
        AssetError: a file is missing; the message says how to fetch it.
    """
    folder = asset_folder(asset) if folder is None else Path(folder)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise AssetError(f"{folder} lacks {', '.join(missing)}: run `attm assets fetch {asset}`")
    return folder


def read_safetensors(path: Path, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    """The tensors of a safetensors file whose names are ``wanted``; the others are not read.

    Raises:
        CheckpointError: truncated, or not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            return {name: stream.get_tensor(name) for name in stream.keys() if wanted(name)}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error}); fetch it again"
        ) from error


def read_pickle(path: Path, constructors: Sequence[Any] = ()) -> dict[str, Tensor]:
    """The tensors of a pickled state dict, or of the ``state_dict`` of a training checkpoint.

    Args:
        path: what ``torch.save`` wrote; its current format is mapped, not read whole, so that the
            optimiser's state in a training checkpoint costs nothing.
        constructors: plain-data types that the pickle may build besides tensors and containers.

    Raises:
        CheckpointError: truncated, corrupt, asks for any other code, or holds no state dict.
    """
    try:
        with torch.serialization.safe_globals(list(constructors)):
            content = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is no checkpoint, or asks for code to be run, and was not loaded "
            f"({_first_line(error)}); fetch it again from its source"
        ) from error
    except READ_ERRORS as error:
        raise CheckpointError(
            f"{path} is corrupt or truncated ({_first_line(error)}); fetch it again"
        ) from error
    return _state_dict(content, path)


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise CheckpointError(f"{path} does not hold a state dict of tensors")
    return dict(content)


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy ``tensors`` into ``module``: every key, every shape, only finite values.

    Raises:
        CheckpointError: NaN or infinite values, missing, unexpected or mis-shaped weights.
    """
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path}: {name} holds NaN or infinite values; fetch it again")
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} does not fit {type(module).__name__}: {_shortened(str(error))}"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def _shortened(text: str, n_characters: int = 600) -> str:
    return text if len(text) <= n_characters else text[:n_characters] + " …"
