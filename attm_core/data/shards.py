"""Windows to latents, text features and reward columns, shard by shard (Section III-D(a)).

`extract` works through a table of windows (`attm_core.data.jamendo`). A shard is a file of
latents and a file of scores of the same clips, finished when both are there: a run that was killed
goes on with the next shard, several processes may share one folder, and the files are the same
however they came about. `open_latents` hands a finished folder to the trainers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from attm_core.data.extraction import ClipExtractor, ExtractionCast, ExtractionConfig
from attm_core.data.extraction_folder import (
    MANIFEST,
    REWARDS,
    TABLE,
    Claims,
    ExtractionFolder,
    Part,
    discard_leftovers,
    read_manifest,
    settle,
    table_digest,
)
from attm_core.data.jamendo import COLUMNS, Progress
from attm_core.data.sharded_rows import ShardedRows
from attm_core.errors import AssetError, InputError
from attm_core.files import save_tensors, write_atomic
from attm_core.progress import track
from attm_core.ranker.reward_model import REWARD_COLUMNS, reward_columns
from attm_core.training.data import LatentSet

__all__ = ["ExtractionCast", "ExtractionConfig", "extract", "open_latents", "open_table"]


def extract(
    table: pd.DataFrame,
    audio_root: Path,
    cast: ExtractionCast,
    folder: Path,
    config: ExtractionConfig | None = None,
    progress: Progress = track,
) -> None:
    """Work out everything that training needs of the clips of ``table``; resumes.

    Start it in as many processes as there are GPUs or memory for, on one ``folder``: each takes
    the shards that no other is at. The last to finish joins the scores to reward columns. Memory
    is that of one shard and of the table, whatever the number of clips.

    Args:
        table: what `attm_core.data.jamendo.window_table` gave.
        audio_root: folder that its paths are relative to.
        cast: who plays which role.
        folder: the extraction's own.
        config: shards, batches, precision.
        progress: shows how far the shards are.

    Raises:
        InputError: the table is empty or lacks a column.
        ConfigError: ``folder`` belongs to an extraction of other clips, settings or weights.
    """
    missing = [name for name in COLUMNS if name not in table]
    if missing or not len(table):
        raise InputError(f"the table has {len(table)} clips and lacks the columns {missing}")
    run = _Extraction(table, audio_root, cast, Path(folder), config or ExtractionConfig())
    settle(run.folder, run.identity(), table)
    parts = list(run.parts())
    left = [part for part in parts if not part.finished]
    with Claims(run.folder) as claims:
        for part in progress(left, "extraction", len(parts), len(parts) - len(left)):
            _work(part, claims)
        if all(part.finished for part in parts):
            _work(run.joining(len(parts)), claims)


def _work(part: Part, claims: Claims) -> None:
    """Do a part unless it is done or another process is at it."""
    with claims.claim(part.number) as ours:
        if ours and not part.finished:
            for path in part.paths:
                discard_leftovers(path)
            part.write(part)


class _Extraction:
    """One run over a table."""

    def __init__(
        self,
        table: pd.DataFrame,
        audio_root: Path,
        cast: ExtractionCast,
        folder: Path,
        config: ExtractionConfig,
    ) -> None:
        self.table, self.cast, self.folder, self.config = table, cast, folder, config
        self.captions: list[str] = table["caption"].unique().tolist()
        self.extractor = ClipExtractor(audio_root, cast, config)
        self.files = ExtractionFolder(folder, config.shard_size)

    def identity(self) -> dict[str, Any]:
        """What determines the files."""
        settings = asdict(self.config)
        n_clips, n_captions = len(self.table), len(self.captions)
        clips = {"n_clips": n_clips, "n_captions": n_captions, "table": table_digest(self.table)}
        return {**settings, **clips, "cast": self.cast.uid}

    def parts(self) -> Iterator[Part]:
        """All shards: captions first, then clips."""
        files, size = self.files, self.config.shard_size
        n_clips = len(self.table)
        texts = [(path,) for path in files.texts(len(self.captions))]
        clips = list(zip(files.latents(n_clips), files.scores(n_clips), strict=True))
        for first, work, write in ((0, texts, self._texts), (len(texts), clips, self._clips)):
            for place, paths in enumerate(work):
                rows = slice(place * size, (place + 1) * size)
                yield Part(paths, first + place, rows, write)

    def joining(self, number: int) -> Part:
        """What is left to do when all shards are there."""
        root = self.folder
        paths = (root / TABLE, root / MANIFEST, root / REWARDS)
        return Part(paths, number, slice(0, len(self.table)), self._join)

    def _texts(self, part: Part) -> None:
        save_tensors(part.paths[0], self.extractor.texts(self.captions[part.rows]))

    def _clips(self, part: Part) -> None:
        latents, path = part.paths
        tensors, scores = self.extractor.shard(self.table.iloc[part.rows])
        save_tensors(latents, tensors)
        write_atomic(path, lambda file: scores.to_parquet(file, index=False))

    def _join(self, part: Part) -> None:
        rewards = _join(self.table, self.files.scores(len(self.table)))
        write_atomic(part.paths[-1], lambda file: rewards.to_parquet(file, index=False))


def _join(table: pd.DataFrame, files: list[Path]) -> pd.DataFrame:
    """The three reward columns and ``problem`` of every clip; NaN where there is a problem."""
    scores = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    usable = scores["problem"] == ""
    tracks = table[["track_id"]].reset_index(drop=True)[usable]
    mix, instrumental = (scores.loc[usable, name] for name in ("mix", "instrumental"))
    columns = reward_columns(tracks, mix, instrumental, track_column="track_id")
    whole = columns.reindex(scores.index)[list(REWARD_COLUMNS)]
    return pd.concat([scores["clip_id"], whole, scores["problem"]], axis=1)


def open_table(folder: Path) -> pd.DataFrame:
    """The clips of a finished extraction: the window table, the reward columns and ``problem``.

    Args:
        folder: what `extract` filled.

    Raises:
        AssetError: it holds no extraction, or one that is not finished.
    """
    folder = Path(folder)
    read_manifest(folder)
    if not (folder / REWARDS).exists():
        done = len(list((folder / "scores").glob("[0-9]*.parquet")))
        raise AssetError(
            f"the extraction in {folder} is not finished ({done} shards of clips are); run "
            "`extract` with the same arguments again"
        )
    rewards = pd.read_parquet(folder / REWARDS).drop(columns="clip_id")
    return pd.concat([pd.read_parquet(folder / TABLE), rewards], axis=1)


def open_latents(
    folder: Path, split: str = "train", reward: str = "instrumental_reward_score"
) -> LatentSet:
    """The usable clips of a split as training reads them; their latents stay on disk.

    Its row i is row i of ``open_table(folder).query("problem == '' and split == @split")``.

    Args:
        folder: what `extract` filled.
        split: ``"train"``, ``"valid"`` or ``"test"``.
        reward: the column that becomes the score ``s``.

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
    files = ExtractionFolder(Path(folder), int(read_manifest(folder)["shard_size"]))
    clips = torch.from_numpy(np.flatnonzero(picked))
    rows = {"mean": clips, "std": clips, "tokens": torch.arange(len(texts))}
    rows["pooled"] = rows["tokens"]
    sources = {name: files.latents(len(table)) for name in ("mean", "std")}
    sources |= {name: files.texts(len(texts)) for name in ("tokens", "pooled")}
    # ShardedRows has what LatentSet asks of a tensor.
    sharded: dict[str, Any] = {
        name: ShardedRows(paths, name, files.shard_size, rows[name])
        for name, paths in sources.items()
    }
    return LatentSet(
        **sharded,
        score=torch.tensor(table.loc[picked, reward].to_numpy(), dtype=torch.float32),
        caption_index=torch.from_numpy(captions[picked]),
    )
