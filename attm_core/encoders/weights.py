"""Published weights of the paper's encoders: where they are, and how they are read.

The reading itself, without running code and strictly, is that of ``attm_core.state_dicts``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from attm_core.assets import asset_folder
from attm_core.errors import AssetError
from attm_core.state_dicts import load_strictly, read_state_dict

__all__ = ["load_strictly", "read_pickle", "read_safetensors", "require_files"]


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
    return read_state_dict(path, wanted=wanted)


def read_pickle(path: Path, constructors: Sequence[Any] = ()) -> dict[str, Tensor]:
    """The tensors of a pickled state dict, or of the ``state_dict`` of a training checkpoint.

    Args:
        path: what ``torch.save`` wrote.
        constructors: plain-data types that the pickle may build besides tensors and containers.

    Raises:
        CheckpointError: truncated, corrupt, asks for any other code, or holds no state dict.
    """
    return read_state_dict(path, constructors=constructors)
