"""Where the published weights of the paper's encoders are; ``attm_core.state_dicts`` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attm_core.assets import asset_folder
from attm_core.errors import AssetError


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
