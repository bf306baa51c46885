"""The windows of one track, decoded once from end to end (Section III-D(a))."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from attm_core.audio import MAX_CHANNELS
from attm_core.errors import InputError

BLOCK_SAMPLES = 1 << 18


@dataclass(frozen=True)
class TrackWindows:
    """What was heard of one track.

    Attributes:
        waves: the windows asked for, each (C, S) float32; zeros beyond the end of the track.
        sample_rate_hz: their rate.
        peak: largest absolute sample of the whole track's mono mean.
    """

    waves: list[Float[Tensor, "C S"]]
    sample_rate_hz: int
    peak: float


def read_windows(path: Path, starts_s: Sequence[float], duration_s: float) -> TrackWindows:
    """Decode a track block by block and keep some windows of it.

    A seek in an MP3 file may land beside its target, and the peak of the track is wanted anyway, so
    the file is read from its beginning; memory is that of the windows.

    Args:
        path: WAV, FLAC, OGG, MP3, …: what libsndfile reads.
        starts_s: where the windows begin, in seconds.
        duration_s: length of each.

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
            blocks = stream.blocks(BLOCK_SAMPLES, dtype="float32", always_2d=True)
            starts = [round(start * rate) for start in starts_s]
            shape = (len(starts), round(duration_s * rate), stream.channels)
            kept, peak, length = _collect(blocks, starts, np.zeros(shape, np.float32))
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(f"{path} cannot be read as audio: {error}") from error
    if length <= max(starts, default=0) or not np.isfinite(peak):
        raise InputError(f"{path} ends after {length} samples, or holds samples that are no number")
    return TrackWindows([torch.from_numpy(wave.T) for wave in kept], rate, peak)


def _collect(
    blocks: Sequence[NDArray[np.float32]], starts: Sequence[int], kept: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float, int]:
    """Fill the windows ``kept`` (n, S, C) from blocks (s, C); also the peak and the length."""
    first, peak = 0, 0.0
    for block in blocks:
        last = first + len(block)
        peak = float(np.maximum(peak, np.abs(block.mean(axis=1)).max(initial=0.0)))
        for wave, start in zip(kept, starts, strict=True):
            low, high = max(first, start), min(last, start + len(wave))
            if low < high:
                wave[low - start : high - start] = block[low - first : high - first]
        first = last
    return kept, peak, first
