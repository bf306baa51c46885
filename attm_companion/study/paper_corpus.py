"""The paper's corpus as a stage: windows of MTG-Jamendo, the SDD reference, the SDD-100 prompts."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attm_companion.arrays import Rows
from attm_companion.study.stage import Stage
from attm_core.assets import asset_folder
from attm_core.audio import fit_length, resample, to_mono
from attm_core.codec.mel import MEL_44K
from attm_core.configuration import WindowConfig
from attm_core.errors import InputError
from attm_core.files import read_json, write_atomic, write_text

if TYPE_CHECKING:
    from attm_companion.world.store import Track

CAPTIONS = "jamendo_qwen.json"
PROMPTS = "tunejury/sdd100.json"
TABLE = "windows.parquet"


class JamendoStage(Stage):
    """Which 10-s windows there are, and the texts and clips that the tables of the paper use.

    Rows of ``train``, ``valid`` and ``test`` are windows; those of ``prompts`` follow them.
    """

    kind: Literal["jamendo"] = "jamendo"
    windows: WindowConfig
    n_samples: int

    def run(self, folder: Path) -> None:
        """Read captions and audio headers, and deal the tracks."""
        from attm_core.data.jamendo import read_captions, window_table
        from attm_core.data.shards import table_digest

        root = asset_folder("mtg_jamendo")
        table = window_table(read_captions(root / CAPTIONS), root, self.windows)
        write_text(folder / "skipped.txt", "\n".join(table.attrs.pop("skipped")))
        table.attrs.clear()
        write_atomic(folder / TABLE, lambda part: table.to_parquet(part, index=False))
        write_text(folder / "data-hash.txt", table_digest(table))

    @property
    def assets(self) -> tuple[str, ...]:
        """Training audio with its captions, the reference, the prompts."""
        return ("mtg_jamendo", "song_describer", "released")

    @property
    def audio_root(self) -> Path:
        """What the paths of `table` are relative to."""
        return asset_folder("mtg_jamendo")

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a window."""
        return pd.read_parquet(self.artefact(TABLE))

    @cached_property
    def prompts(self) -> list[str]:
        """SDD-100, as the ranker's authors published it."""
        path = asset_folder("released") / PROMPTS
        try:
            return [str(item["prompt"]) for item in read_json(path)]
        except (TypeError, KeyError) as error:
            raise InputError(f"{path} must be a list of objects with 'prompt'") from error

    def data_hash(self) -> str:
        """SHA-256 over the table of windows."""
        return self.artefact("data-hash.txt").read_text()

    @property
    def sample_rate_hz(self) -> int:
        """Rate of `waves`."""
        return MEL_44K.sample_rate_hz

    def rows(self, split: str) -> Rows:
        """Row numbers of a split."""
        if split == "prompts":
            return len(self.table) + np.arange(len(self.prompts))
        return np.flatnonzero((self.table["split"] == split).to_numpy())

    def captions(self, split: str) -> list[str]:
        """Captions of a split."""
        if split == "prompts":
            return self.prompts
        return [str(text) for text in self.table["caption"].to_numpy()[self.rows(split)]]

    def waves(self, split: str, track: Track = "instrumental") -> Tensor:
        """Clips (B, 1, S) of ``reference``, ``prompts`` or ``valid``, mono at 44.1 kHz.

        Those of ``valid`` are the first window of each held-out track.
        """
        from attm_core.data.song_describer import AUDIO, SongDescriberAudio

        if split == "valid":
            # PAPER-SILENT: the reference of Table I. The first window of each held-out track, as
            # it is: with voices where it has some.
            chosen = self.table.iloc[self.rows(split)[: self.windows.n_valid]]
            columns = (chosen[name].tolist() for name in ("path", "start_s", "duration_s"))
            return torch.stack([self._clip(*values) for values in zip(*columns, strict=True)])
        # PAPER-SILENT: SDD-100 are texts without audio. Where a table needs real clips for them,
        # as its ceiling, clips of the reference stand in, under prompts that are not theirs.
        ids = self.reference_tracks["track_id"].tolist()
        ids = ids if split == "reference" else ids[: len(self.prompts)]
        audio = SongDescriberAudio(asset_folder("song_describer") / AUDIO)
        # PAPER-SILENT: which ten seconds of its two minutes a track stands in the reference with
        # (C168: the released code draws them at random). Here the middle ones.
        clips = audio.clips(ids, self.sample_rate_hz, self.n_samples / self.sample_rate_hz)
        return clips[:, None]

    @cached_property
    def reference_tracks(self) -> pd.DataFrame:
        """SDD-706, a row a track."""
        from attm_core.data import song_describer as sdd

        captions = asset_folder("song_describer") / sdd.CAPTIONS
        return sdd.reference_tracks(sdd.read_song_describer(captions))

    def _clip(self, path: str, start_s: float, duration_s: float) -> Tensor:
        from attm_core.data.extraction import read_windows

        heard = read_windows(self.audio_root / path, [start_s], duration_s)
        wave = resample(to_mono(heard.waves[0]), heard.sample_rate_hz, self.sample_rate_hz)
        return fit_length(wave, self.n_samples)
