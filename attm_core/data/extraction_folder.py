"""The folder of an extraction: which files it has, who works on which of them, whose it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attm_core.errors import AssetError, ConfigError, InputError
from attm_core.files import read_json, write_atomic, write_json

MANIFEST = "extraction.json"
TABLE = "table.parquet"
REWARDS = "rewards.parquet"
CLAIMS = "claims.lock"


@dataclass(frozen=True)
class Part:
    """One shard's worth of work.

    Attributes:
        paths: its files, in the order they are written; the last one marks it as finished.
        number: of the part among all, by which it is claimed.
        rows: clips or captions it covers.
        write: does the work and leaves the files, each whole or not at all.
    """

    paths: tuple[Path, ...]
    number: int
    rows: slice
    write: Callable[[Part], None]

    @property
    def finished(self) -> bool:
        """Whether all files are there."""
        return self.paths[-1].exists()


def discard_leftovers(path: Path) -> None:
    """Remove what killed writers of ``path`` left beside it."""
    for neighbour in path.parent.glob(f".{path.stem}.*.part{path.suffix}"):
        neighbour.unlink(missing_ok=True)


@dataclass(frozen=True)
class ExtractionFolder:
    """Paths below an extraction's folder.

    Attributes:
        root: the folder.
        shard_size: clips, or captions, a file.
    """

    root: Path
    shard_size: int

    def latents(self, n_clips: int) -> list[Path]:
        """Posterior means and standard deviations, ``shard_size`` clips a file."""
        return self._files("latents", n_clips, "safetensors")

    def scores(self, n_clips: int) -> list[Path]:
        """Ranker scores of the same clips; written after the latents, so they mark the shard."""
        return self._files("scores", n_clips, "parquet")

    def texts(self, n_captions: int) -> list[Path]:
        """Text features, ``shard_size`` captions a file."""
        return self._files("texts", n_captions, "safetensors")

    def _files(self, kind: str, n: int, suffix: str) -> list[Path]:
        numbers = range(-(-n // self.shard_size))
        return [self.root / kind / f"{number:05d}.{suffix}" for number in numbers]


def table_digest(table: pd.DataFrame) -> str:
    """SHA-256 over a table's column names and values, without its index."""
    hashes = pd.util.hash_pandas_object(table, index=False).to_numpy(dtype=np.uint64)
    return hashlib.sha256(repr(list(table.columns)).encode() + hashes.tobytes()).hexdigest()


def settle(folder: Path, identity: Mapping[str, Any], table: pd.DataFrame) -> None:
    """Make ``folder`` that of this extraction, or see that it is.

    Raises:
        ConfigError: it belongs to an extraction of other clips, settings or weights.
    """
    if not (folder / MANIFEST).exists():
        write_atomic(folder / TABLE, lambda part: table.to_parquet(part, index=False))
        write_json(folder / MANIFEST, dict(identity))
    found = read_json(folder / MANIFEST)
    differing = sorted(key for key in {*found, *identity} if found.get(key) != identity.get(key))
    if differing:
        raise ConfigError(
            f"{folder} belongs to an extraction that differs in {', '.join(differing)}; choose "
            "another folder, or delete this one to start again"
        )


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `settle` wrote.

    Raises:
        AssetError: the folder holds no extraction.
    """
    try:
        found: dict[str, Any] = read_json(folder / MANIFEST)
    except InputError as error:
        raise AssetError(f"{folder} holds no extraction ({error}); run `extract` first") from error
    return found


class Claims:
    """Parts that this process has to itself while it works on them.

    A claim is a lock of one byte of one file. The system drops it when the process ends, however
    it ends, so no claim goes stale; on a shared disk it holds between machines as well. It does not
    keep two threads of one process apart.

    Args:
        folder: of the extraction.
    """

    def __init__(self, folder: Path) -> None:
        self._stream = (folder / CLAIMS).open("wb")

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    @contextmanager
    def claim(self, number: int) -> Iterator[bool]:
        """Whether part ``number`` is ours; it is until the end of the block."""
        import fcntl

        try:
            fcntl.lockf(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError:  # EAGAIN or EACCES: another process holds it
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._stream, fcntl.LOCK_UN, 1, number)
