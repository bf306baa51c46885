"""A built corpus on disk: its table, and its audio read row by row."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from attm_companion.arrays import Rows
from attm_companion.world.config import FULL_SCALE, MANIFEST, SPLITS, TABLE, TRACKS, CorpusConfig
from attm_core.errors import AssetError, ConfigError, InputError
from attm_core.files import read_json

Track = Literal["mix", "instrumental", "vocals"]


class ClipStore:
    """The clips of a corpus that `build_corpus` wrote; a row of the table is one of every array.

    Raises:
        AssetError: the folder holds no complete corpus.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        try:
            self.config = CorpusConfig(**read_json(self.folder / MANIFEST)["config"])
        except (InputError, ConfigError, KeyError, TypeError) as error:
            raise AssetError(f"{folder} holds no complete corpus ({error}); build it") from error
        self.sample_rate_hz = self.config.sample_rate_hz
        self.n_samples = self.config.n_samples

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a clip: ids, split, caption, voice, quality, and the severity of every fault."""
        return pd.read_parquet(self.folder / TABLE)

    def __len__(self) -> int:
        return len(self.table)

    def rows(self, split: str) -> Rows:
        """Row numbers of a split; raises ``InputError`` if there is no such split."""
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; choose from {SPLITS}")
        return np.flatnonzero((self.table["split"] == split).to_numpy())

    def captions(self, rows: Sequence[int] | Rows) -> list[str]:
        """Captions of some rows, in their order."""
        return [str(text) for text in self.table["caption"].to_numpy()[np.asarray(rows, int)]]

    def waves(self, track: Track, rows: Sequence[int] | Rows) -> Float[Tensor, "B S"]:
        """Audio of some rows, (B, S) float32 in [-1, 1].

        Raises:
            InputError: unknown track.
        """
        if track not in TRACKS:
            raise InputError(f"unknown track {track!r}; choose from {TRACKS}")
        picked = self._arrays[track][np.asarray(rows, dtype=np.int64)]
        return torch.from_numpy(picked.astype(np.float32) / np.float32(FULL_SCALE))

    @cached_property
    def _arrays(self) -> dict[str, NDArray[np.int16]]:
        return {name: np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in TRACKS}
