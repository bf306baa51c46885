"""Windows to latents, text features and reward columns, shard by shard (Section III-D(a)).

`extract` works through a table of windows (`attm_core.data.jamendo`). A shard is one file, whole or
absent: a run that was killed goes on with the next, several processes on one folder share them, and
the files are the same however they came about. `open_latents` hands a finished folder to training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from attm_core import files
from attm_core.data.extraction import PROBLEMS, ClipExtractor, ExtractionCast, ExtractionConfig
from attm_core.data.jamendo import COLUMNS
from attm_core.errors import AssetError, ConfigError, InputError
from attm_core.progress import track
from attm_core.ranker.reward_model import REWARD_COLUMNS, reward_columns
from attm_core.training.data import LatentSet

_MANIFEST = "extraction.json"
_TABLE = "clips.parquet"  # written last, of all clips: without it the extraction is not finished
_MAX_BLOCK = 256  # rows that `split` holds at a time: 35 MB of the paper's latents in float32


def extract(
    table: pd.DataFrame,
    audio_root: Path,
    cast: ExtractionCast,
    folder: Path,
    config: ExtractionConfig | None = None,
) -> None:
    """Compute everything that training needs of the clips of ``table``; resumes.

    Start it in as many processes as there are GPUs or memory for, on one ``folder``: each takes
    the shards that no other is at, and the last to finish joins the scores to reward columns.
    Memory is that of one shard and of the table, whatever the number of clips. ``table`` is what
    `attm_core.data.jamendo.window_table` gave, its paths are below ``audio_root``.

    Raises:
        InputError: the table is empty or lacks a column.
        ConfigError: ``folder`` belongs to an extraction of other clips, settings or weights.
        StorageError: no disk space, or a file system without locks.
    """
    missing = [name for name in COLUMNS if name not in table]
    if missing or not len(table):
        raise InputError(f"the table has {len(table)} clips and lacks the columns {missing}")
    config, captions = config or ExtractionConfig(), table["caption"].unique().tolist()
    clips = {"n_clips": len(table), "n_captions": len(captions), "table": table_digest(table)}
    identity = {**asdict(config), **clips, "cast": cast.uid}
    if not (folder / _MANIFEST).exists():
        files.write_json(folder / _MANIFEST, identity)
    found = files.read_json(folder / _MANIFEST)
    if differing := sorted(k for k in {*found, *identity} if found.get(k) != identity.get(k)):
        raise ConfigError(
            f"{folder} belongs to an extraction that differs in {', '.join(differing)}; choose "
            "another folder, or delete this one to start again"
        )
    extractor, size = ClipExtractor(audio_root, cast, config), config.shard_size
    work: list[tuple[Path, Callable[[], Mapping[str, Tensor]]]] = [
        (path, partial(extractor.texts, captions[rows]))
        for path, rows in _shards(folder, "texts", len(captions), size)
    ]
    scored = _shards(folder, "clips", len(table), size)
    work += [(path, partial(extractor.shard, table.iloc[rows])) for path, rows in scored]
    left = [item for item in work if not item[0].exists()]
    for path, make in track(left, "extraction", len(work), len(work) - len(left)):
        with files.file_lock(path.with_suffix(".lock")) as ours:
            if ours and not path.exists():  # else another process is at it
                files.save_tensors(path, make())
    if all(path.exists() for path, _ in work) and not (folder / _TABLE).exists():
        whole = _joined(table, [path for path, _ in scored])
        files.write_atomic(folder / _TABLE, lambda part: whole.to_parquet(part, index=False))


def table_digest(table: pd.DataFrame) -> str:
    """SHA-256 over a table's column names and values, without its index."""
    hashes = pd.util.hash_pandas_object(table, index=False).to_numpy(dtype=np.uint64)
    return hashlib.sha256(repr(list(table.columns)).encode() + hashes.tobytes()).hexdigest()


def _shards(folder: Path, kind: str, n: int, size: int) -> list[tuple[Path, slice]]:
    """The files of ``n`` clips or captions, and which of them each holds."""
    starts = enumerate(range(0, n, size))
    return [(folder / kind / f"{k:05d}.safetensors", slice(at, at + size)) for k, at in starts]


def _joined(table: pd.DataFrame, paths: Sequence[Path]) -> pd.DataFrame:
    """The table with the three reward columns and ``problem``; NaN where there is a problem."""
    parts = [files.load_tensors(path, {"scores", "problem"}.__contains__) for path in paths]
    mix, instrumental = (pd.Series(side) for side in torch.cat([p["scores"] for p in parts]).T)
    problem = np.array(PROBLEMS)[torch.cat([part["problem"] for part in parts])]
    usable, whole = problem == "", table.reset_index(drop=True)
    columns = reward_columns(
        whole.loc[usable, ["track_id"]], mix[usable], instrumental[usable], track_column="track_id"
    )
    rewards = columns.reindex(whole.index)[list(REWARD_COLUMNS)]
    return pd.concat([whole, rewards, pd.Series(problem, name="problem")], axis=1)


def open_table(folder: Path) -> pd.DataFrame:
    """The clips of a finished extraction: the window table, the reward columns and ``problem``.

    Raises:
        AssetError: ``folder`` holds no extraction, or one that is not finished.
    """
    if not (folder / _MANIFEST).exists():
        raise AssetError(f"{folder} holds no extraction; run `extract` first")
    if not (folder / _TABLE).exists():
        done = len(list((folder / "clips").glob("[0-9]*.safetensors")))
        raise AssetError(
            f"the extraction in {folder} is not finished ({done} shards of clips are); run "
            "`extract` with the same arguments again"
        )
    return pd.read_parquet(folder / _TABLE)


def open_latents(
    folder: Path, split: str = "train", reward: str = "instrumental_reward_score"
) -> LatentSet:
    """The usable clips of a split as training reads them; their latents stay on disk.

    Row i is row i of ``open_table(folder).query("problem == '' and split == @split")``; the column
    ``reward`` becomes the score ``s``.

    Raises:
        AssetError: the folder holds no finished extraction.
        InputError: unknown column, or a split without usable clips.
    """
    if reward not in REWARD_COLUMNS:
        raise InputError(f"unknown reward column {reward!r}; one of {', '.join(REWARD_COLUMNS)}")
    table = open_table(folder)
    captions, texts = pd.factorize(table["caption"])
    picked = ((table["split"] == split) & (table["problem"] == "")).to_numpy()
    if not picked.any():
        raise InputError(f"{folder} has no usable clip in split {split!r}")
    size = int(files.read_json(folder / _MANIFEST)["shard_size"])

    def stored(kind: str, name: str, n: int, rows: Tensor) -> Any:  # stands for a tensor
        return _ShardedRows([path for path, _ in _shards(folder, kind, n, size)], name, size, rows)

    clips, every_text = torch.from_numpy(np.flatnonzero(picked)), torch.arange(len(texts))
    return LatentSet(
        mean=stored("clips", "mean", len(table), clips),
        std=stored("clips", "std", len(table), clips),
        tokens=stored("texts", "tokens", len(texts), every_text),
        pooled=stored("texts", "pooled", len(texts), every_text),
        score=torch.tensor(table.loc[picked, reward].to_numpy(), dtype=torch.float32),
        caption_index=torch.from_numpy(captions[picked]),
    )


class _ShardedRows:
    """Some rows of a tensor that lies in many safetensors files; only rows asked for are read.

    It has what `attm_core.training.data.LatentSet` asks of its tensors, so that a set of half a
    million clips trains like one in memory. The system maps the files and may drop pages again.
    All ``paths`` but the last have ``shard_size`` rows; ``rows`` of the whole make up this tensor.
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
        return len(self.shape)

    def __getitem__(self, rows: Int[Tensor, " B"]) -> Tensor:
        """The rows ``rows`` as a tensor of their own."""
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
        for rows in torch.arange(len(self)).split(min(block, _MAX_BLOCK)):
            yield self[rows]

    def _shard(self, number: int) -> Tensor:
        if number not in self._mapped:
            wanted = {self._name}.__contains__
            self._mapped[number] = files.load_tensors(self._paths[number], wanted)[self._name]
        return self._mapped[number]
