"""One shard's clips: from the audio of their tracks to latents and scores (Section III-D(a))."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from attm_core.audio import fit_length, resample, to_mono
from attm_core.data.track_audio import TrackWindows, read_windows
from attm_core.errors import ConfigError, InputError
from attm_core.protocols import ClapModel, Codec, Separator, TextEncoder

TRACK_PEAK = 0.95
SILENCE = 1e-6
DTYPES = {"float16": torch.float16, "float32": torch.float32}
UNREADABLE, SILENT = "unreadable", "silent"
SCORES = ("clip_id", "mix", "instrumental", "problem")


class Ranker(Protocol):
    """What is asked of the ranker; `attm_core.ranker.reward_model.RewardModel` meets it."""

    def score(self, waves: Tensor, sample_rate_hz: int, prompts: Sequence[str]) -> Tensor:
        """Reward (B,) of waves (B, C, S), each under its prompt."""
        ...


@dataclass(frozen=True)
class ExtractionCast:
    """Who plays which role.

    Attributes:
        codec: waves to latents.
        text: captions to token states.
        clap: the conditioning CLAP model, captions to pooled embeddings.
        separator: takes the vocals out.
        ranker: gives the scores.
        uid: identity of all their weights; a folder is filled under one uid only.
    """

    codec: Codec
    text: TextEncoder
    clap: ClapModel
    separator: Separator
    ranker: Ranker
    uid: str


@dataclass(frozen=True)
class ExtractionConfig:
    """How the work is cut up and stored.

    Attributes:
        shard_size: clips, or captions, of one file.
        batch_size: clips that codec and ranker get at a time.
        dtype: of stored latents and token states: ``"float16"`` or ``"float32"``.
        track_peak: what the peak of a whole track is brought to; None leaves its level.

    Raises:
        ConfigError: a number or name is out of range.
    """

    shard_size: int = 1024
    batch_size: int = 16
    # PAPER-SILENT: how latents are stored. Half precision halves 74 GB of them, and its rounding
    # (2^-11 of a value) is far below the ε·std that training adds to every mean.
    dtype: Literal["float16", "float32"] = "float16"
    # PAPER-SILENT: the level of a clip. Tracks come at the peak of the released scripts; these
    # scale the separated track, we the mixture, so that both halves of a clip keep one gain.
    track_peak: float | None = TRACK_PEAK

    def __post_init__(self) -> None:
        if self.shard_size < 1 or self.batch_size < 1:
            raise ConfigError("shard_size and batch_size are at least 1")
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype {self.dtype!r} is not one of {', '.join(DTYPES)}")
        if self.track_peak is not None and not 0 < self.track_peak <= 1:
            raise ConfigError("track_peak lies in (0, 1], or is None")


@dataclass(frozen=True)
class _Clip:
    """One window: its place in the shard, and (S,) waves at the codec's rate."""

    place: int
    mix: Tensor
    stem: Tensor


@dataclass
class _Gathered:
    """What is known of a shard's clips so far."""

    mean: Tensor
    std: Tensor
    scores: NDArray[np.float64]  # (n, 2): mixture, stem
    problems: list[str]


class ClipExtractor:
    """Clips of a table to latents and scores, a shard at a time.

    Args:
        audio_root: folder that the table's paths are relative to.
        cast: who plays which role.
        config: batches, level, precision.
    """

    def __init__(self, audio_root: Path, cast: ExtractionCast, config: ExtractionConfig) -> None:
        self.audio_root, self.cast, self.config = Path(audio_root), cast, config
        self.latent_shape = (cast.codec.n_latents, cast.codec.n_channels)

    @torch.no_grad()
    def texts(self, captions: Sequence[str]) -> dict[str, Tensor]:
        """``tokens`` (u, T, F) as stored and ``pooled`` (u, P) float32 of some captions."""
        size = self.config.batch_size
        chunks = [captions[start : start + size] for start in range(0, len(captions), size)]
        tokens = torch.cat([self.cast.text.encode(chunk).cpu() for chunk in chunks])
        pooled = torch.cat([self.cast.clap.embed_text(chunk).cpu() for chunk in chunks])
        return {"tokens": tokens.to(DTYPES[self.config.dtype]), "pooled": pooled.float()}

    @torch.no_grad()
    def shard(self, rows: pd.DataFrame) -> tuple[dict[str, Tensor], pd.DataFrame]:
        """Latents and scores of a shard's clips.

        Args:
            rows: some rows of the window table.

        Returns:
            ``mean`` and ``std`` (n, N, C) of the instrumental stems, and a table `SCORES` with the
            ranker's scores of mixture and stem. A clip that cannot be read or is silent has zeros,
            NaN and a ``problem``.
        """
        gathered = self._empty(len(rows))
        clips = self._clips(rows.reset_index(drop=True), gathered.problems)
        while batch := list(islice(clips, self.config.batch_size)):
            self._encode(batch, rows["caption"].tolist(), gathered)
        scores = dict(zip(("mix", "instrumental"), gathered.scores.T, strict=True))
        table = {"clip_id": rows["clip_id"].to_numpy(), **scores, "problem": gathered.problems}
        return {"mean": gathered.mean, "std": gathered.std}, pd.DataFrame(table)

    def _empty(self, n: int) -> _Gathered:
        mean, std = torch.zeros(2, n, *self.latent_shape, dtype=DTYPES[self.config.dtype])
        return _Gathered(mean, std, np.full((n, 2), np.nan), [""] * n)

    def _encode(self, batch: Sequence[_Clip], captions: Sequence[str], into: _Gathered) -> None:
        codec, places = self.cast.codec, [clip.place for clip in batch]
        mix, stem = (
            torch.stack([getattr(clip, name) for clip in batch]) for name in ("mix", "stem")
        )
        for store, found in zip((into.mean, into.std), codec.encode(stem), strict=True):
            store[places] = found.cpu().to(store.dtype)
        # PAPER-SILENT: which prompt the ranker reads with a training clip; it is its caption.
        prompts = [captions[place] for place in places]
        both = torch.cat([mix, stem])[:, None]
        scored = self.cast.ranker.score(both, codec.sample_rate_hz, prompts * 2)
        into.scores[places] = scored.double().cpu().numpy().reshape(2, -1).T

    def _clips(self, rows: pd.DataFrame, problems: list[str]) -> Iterator[_Clip]:
        """The shard's clips, track by track; what is wrong with the others goes to ``problems``."""
        for path, group in rows.groupby("path", sort=False):
            heard = self._heard(str(path), group)
            for number, place in enumerate(group.index.tolist()):
                made = heard if isinstance(heard, str) else self._clip(heard, number, place)
                if isinstance(made, str):
                    problems[place] = made
                else:
                    yield made

    def _heard(self, path: str, rows: pd.DataFrame) -> TrackWindows | str:
        """The windows of one track, or what is wrong with it."""
        try:
            starts_s, duration_s = rows["start_s"].tolist(), rows["duration_s"].max()
            heard = read_windows(self.audio_root / path, starts_s, duration_s)
        except InputError:
            return UNREADABLE
        return heard if heard.peak > SILENCE else SILENT

    def _clip(self, heard: TrackWindows, number: int, place: int) -> _Clip | str:
        """Mixture and stem of one window, or what is wrong with them."""
        wave = heard.waves[number]
        wave = wave if len(wave) <= 2 else to_mono(wave)
        if self.config.track_peak is not None:
            wave = wave * (self.config.track_peak / heard.peak)
        try:
            pair = self._pair(wave, heard.sample_rate_hz)
        except InputError:  # a sample rate that nothing can be resampled from
            return UNREADABLE
        loud = min(float(side.abs().max()) for side in pair) > SILENCE
        return _Clip(place, *pair) if loud else SILENT

    def _pair(self, wave: Float[Tensor, "C S"], rate: int) -> tuple[Tensor, Tensor]:
        """Mixture and instrumental stem, mono at the codec's rate and length."""
        separator, codec = self.cast.separator, self.cast.codec
        # PAPER-SILENT: the Demucs model, its passes and what it hears. One pass of the cast's
        # separator over each 10-s window in stereo: the paper segments first and separates then.
        stem = separator.no_vocals(resample(wave, rate, separator.sample_rate_hz)[None])[0]

        def as_codec(side: Tensor, from_hz: int) -> Tensor:
            mono = resample(to_mono(side), from_hz, codec.sample_rate_hz)[0]
            return fit_length(mono, codec.n_samples)

        return as_codec(wave, rate), as_codec(stem, separator.sample_rate_hz)
