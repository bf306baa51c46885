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
from torch import Tensor

from attm_core.audio import MAX_CHANNELS, fit_length, resample, to_mono
from attm_core.errors import InputError, require
from attm_core.protocols import ClapModel, Codec, Separator, TextEncoder

_SILENCE = 1e-6
_DTYPES = {"float16": torch.float16, "float32": torch.float32}
_BLOCK_SAMPLES = 1 << 18
PROBLEMS = ("", "unreadable", "silent")  # what can be wrong with a clip; stored as numbers
UNREADABLE, SILENT = 1, 2


class Ranker(Protocol):
    """What the extraction needs of the ranker (`attm_core.ranker.reward_model.RewardModel`)."""

    def score(self, waves: Tensor, sample_rate_hz: int, prompts: Sequence[str]) -> Tensor:
        """Reward (B,) of waves (B, C, S), each under its prompt."""


@dataclass(frozen=True)
class ExtractionCast:
    """The model in each role."""

    codec: Codec
    text: TextEncoder
    clap: ClapModel  # the conditioning one: captions to pooled embeddings
    separator: Separator
    ranker: Ranker
    uid: str  # identity of all their weights; a folder is filled under one uid only


@dataclass(frozen=True)
class ExtractionConfig:
    """How the work is cut up (clips or captions of a file, clips at a time) and stored.

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
    track_peak: float | None = 0.95

    def __post_init__(self) -> None:
        require(self, positive="shard_size batch_size", dtype=tuple(_DTYPES))
        if self.track_peak is not None:
            require(self, positive="track_peak", share="track_peak")


class ClipExtractor:
    """Clips of a table, its paths below ``audio_root``, to latents and scores, shard by shard."""

    def __init__(self, audio_root: Path, cast: ExtractionCast, config: ExtractionConfig) -> None:
        self.audio_root, self.cast, self.config = Path(audio_root), cast, config

    @torch.no_grad()
    def texts(self, captions: Sequence[str]) -> dict[str, Tensor]:
        """``tokens`` (u, T, F) as stored and ``pooled`` (u, P) float32 of some captions."""
        size = self.config.batch_size
        chunks = [captions[start : start + size] for start in range(0, len(captions), size)]
        tokens = torch.cat([self.cast.text.encode(chunk).cpu() for chunk in chunks])
        pooled = torch.cat([self.cast.clap.embed_text(chunk).cpu() for chunk in chunks])
        return {"tokens": tokens.to(_DTYPES[self.config.dtype]), "pooled": pooled.float()}

    @torch.no_grad()
    def shard(self, rows: pd.DataFrame) -> dict[str, Tensor]:
        """``mean``, ``std`` (n, N, C) of some clips' stems, ``scores`` (n, 2) and ``problem`` (n,).

        Scores are of mixture and stem, problems places in `PROBLEMS`; zeros and NaN for such clips.
        """
        n, codec = len(rows), self.cast.codec
        problem = torch.zeros(n, dtype=torch.int8)
        scores = torch.full((n, 2), torch.nan, dtype=torch.float64)
        shape = (2, n, codec.n_latents, codec.n_channels)
        latents = torch.zeros(shape, dtype=_DTYPES[self.config.dtype])
        clips = self._clips(rows.reset_index(drop=True), problem)
        while batch := list(islice(clips, self.config.batch_size)):
            here = [place for place, _, _ in batch]
            mix, stem = (torch.stack(side) for side in zip(*(c[1:] for c in batch), strict=True))
            for store, found in zip(latents, codec.encode(stem), strict=True):
                store[here] = found.cpu().to(store.dtype)
            # PAPER-SILENT: which prompt the ranker reads with a training clip; it is its caption.
            prompts = 2 * rows["caption"].iloc[here].tolist()
            scored = self.cast.ranker.score(torch.cat([mix, stem]), codec.sample_rate_hz, prompts)
            scores[here] = scored.double().cpu().unflatten(0, (2, -1)).T
        return {"mean": latents[0], "std": latents[1], "scores": scores, "problem": problem}

    def _clips(self, rows: pd.DataFrame, problem: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Place, mixture and stem (1, S) of the clips, track by track; the others' ``problem``."""
        for path, group in rows.groupby("path", sort=False):
            starts_s, duration_s = group["start_s"].tolist(), group["duration_s"].max()
            track: TrackWindows | int
            try:
                track = read_windows(self.audio_root / str(path), starts_s, duration_s)
                track = track if track.peak > _SILENCE else SILENT
            except InputError:
                track = UNREADABLE
            for number, place in enumerate(group.index.tolist()):
                pair = track if isinstance(track, int) else self._pair(track, number)
                if isinstance(pair, int):
                    problem[place] = pair
                else:
                    yield place, *pair

    def _pair(self, track: TrackWindows, number: int) -> tuple[Tensor, Tensor] | int:
        """Mixture and instrumental stem of one window, mono at the codec's rate and length."""
        separator, codec = self.cast.separator, self.cast.codec
        wave, rate = track.waves[number], track.sample_rate_hz
        wave = wave if len(wave) <= 2 else to_mono(wave)
        if self.config.track_peak is not None:
            wave = wave * (self.config.track_peak / track.peak)

        def as_codec(side: Tensor, from_hz: int) -> Tensor:
            mono = resample(to_mono(side), from_hz, codec.sample_rate_hz)
            return fit_length(mono, codec.n_samples)

        # PAPER-SILENT: the Demucs model, its passes and its input. One pass of the cast's
        # separator over each 10-s window in stereo: the paper segments first and separates then.
        try:
            stem = separator.no_vocals(resample(wave, rate, separator.sample_rate_hz)[None])[0]
            pair = as_codec(wave, rate), as_codec(stem, separator.sample_rate_hz)
        except InputError:  # a sample rate that nothing can be resampled from
            return UNREADABLE
        return pair if min(float(side.abs().max()) for side in pair) > _SILENCE else SILENT


@dataclass(frozen=True)
class TrackWindows:
    """Windows of one decoded track."""

    waves: list[Float[Tensor, "C S"]]  # the windows asked for; zeros beyond the end of the track
    sample_rate_hz: int
    peak: float  # largest absolute sample of the whole track's mono mean


def read_windows(path: Path, starts_s: Sequence[float], duration_s: float) -> TrackWindows:
    """Decode a track block by block and keep windows of ``duration_s``, beginning at ``starts_s``.

    A seek in an MP3 file may land beside its target, and the peak of the track is wanted anyway, so
    the file is read from its beginning; memory is that of the windows.

    Raises:
        InputError: the file is missing or cannot be decoded, has more than eight channels, holds
            NaN or infinities, or ends before a window begins.
    """
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as stream:
            if stream.channels > MAX_CHANNELS:
                raise InputError(f"{path} has {stream.channels} channels, more than {MAX_CHANNELS}")
            rate = int(stream.samplerate)
            starts = [round(start * rate) for start in starts_s]
            shape = (len(starts), round(duration_s * rate), stream.channels)
            kept, peak, length = np.zeros(shape, np.float32), 0.0, 0
            for block in stream.blocks(_BLOCK_SAMPLES, dtype="float32", always_2d=True):
                first, length = length, length + len(block)
                peak = float(np.maximum(peak, np.abs(block.mean(axis=1)).max(initial=0.0)))
                for wave, start in zip(kept, starts, strict=True):
                    low, high = max(first, start), min(length, start + len(wave))
                    if low < high:
                        wave[low - start : high - start] = block[low - first : high - first]
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(f"{path} cannot be read as audio: {error}") from error
    if length <= max(starts, default=0) or not np.isfinite(peak):
        raise InputError(f"{path} ends after {length} samples, or holds samples that are no number")
    return TrackWindows([torch.from_numpy(wave.T) for wave in kept], rate, peak)
