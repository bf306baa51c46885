"""Where published checkpoints and data sets are kept; ``attm assets fetch`` puts them there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from attm_core.errors import AssetError

_FOLDER_VARIABLE = "ATTM_ASSETS_DIR"


def asset_folder(name: str = "") -> Path:
    """Where assets live: ``$ATTM_ASSETS_DIR``, or ``~/.cache/attm/assets``."""
    root = os.environ.get(_FOLDER_VARIABLE) or Path.home() / ".cache" / "attm" / "assets"
    return Path(root) / name


def require_files(asset: str, names: Sequence[str], folder: Path | None = None) -> Path:
    """The folder that holds the files ``names`` of an asset; its own folder if None.

    Raises:
        AssetError: a file is missing; the message says how to fetch it.
    """
    folder = asset_folder(asset) if folder is None else Path(folder)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise AssetError(f"{folder} lacks {', '.join(missing)}: run `attm assets fetch {asset}`")
    return folder
