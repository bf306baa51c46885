"""A tensor whose rows lie in many files, of which only the rows asked for are read.

It has what `attm_core.training.data.LatentSet` asks of its tensors: ``len``, ``shape``, ``ndim``,
rows by an index tensor, and ``split``. So a set of half a million clips trains like one in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from attm_core.errors import InputError
from attm_core.files import load_tensors

MAX_BLOCK = 256  # rows that `split` holds at a time: 35 MB of the paper's latents in float32


class ShardedRows:
    """Some rows of the tensors ``name`` of safetensors files, one file after the other.

    Files are mapped into memory when a row of theirs is first asked for; the system reads the
    pages of that row and may drop them again.

    Args:
        paths: the files; all but the last have ``shard_size`` rows.
        name: of the tensor in each file.
        shard_size: rows of a file.
        rows: which rows of the whole make up this tensor, in which order.
    """

    def __init__(self, paths: Sequence[Path], name: str, shard_size: int, rows: Tensor) -> None:
        self._paths, self._name, self._shard_size, self._rows = paths, name, shard_size, rows
        self._mapped: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> torch.Size:
        """(n, …)."""
        return torch.Size((len(self), *self._shard(0).shape[1:]))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._shard(0).ndim

    def __getitem__(self, rows: Int[Tensor, " B"]) -> Tensor:
        """The rows ``rows`` as a tensor of their own.

        Raises:
            InputError: ``rows`` is not an index tensor (B,).
        """
        if rows.ndim != 1 or rows.dtype.is_floating_point or rows.dtype == torch.bool:
            raise InputError("rows of a sharded tensor are picked by an integer tensor (B,)")
        wanted = self._rows[rows.cpu()]
        shards = wanted.div(self._shard_size, rounding_mode="floor")
        found = torch.empty(len(rows), *self.shape[1:], dtype=self._shard(0).dtype)
        for shard in shards.unique().tolist():
            place = (shards == shard).nonzero()[:, 0]
            found[place] = self._shard(shard)[wanted[place] - shard * self._shard_size]
        return found

    def split(self, block: int) -> Iterator[Tensor]:
        """All rows in order, at most ``block`` and at most 256 at a time."""
        for rows in torch.arange(len(self)).split(min(block, MAX_BLOCK)):
            yield self[rows]

    def _shard(self, number: int) -> Tensor:
        if number not in self._mapped:
            self._mapped[number] = load_tensors(self._paths[number])[self._name]
        return self._mapped[number]
