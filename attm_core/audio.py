"""Audio as float32 tensors in [-1, 1], a clip (C, S), a batch (B, C, S): files, rates, checks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.errors import InputError
from attm_core.files import write_atomic

MAX_CHANNELS = 8
_MAX_DURATION_S = 3600.0
MAX_VALUES = 2 * 3600 * 48_000  # an hour of stereo at 48 kHz, 1.3 GiB as float32
_MAX_KERNEL_VALUES = 1 << 24  # 44 100 ↔ 48 000 Hz needs 24 thousand, 44 101 → 48 000 Hz 2 · 10^9


def check_wave(wave: Tensor, name: str = "audio") -> Tensor:
    """Return ``wave`` if it is a finite float tensor (C, S) with S > 0.

    Raises:
        InputError: wrong rank, no sample, more than eight channels, or NaN or infinite samples.
    """
    if wave.ndim != 2:
        raise InputError(f"{name} must have shape (C, S), got {tuple(wave.shape)}")
    if not 1 <= wave.shape[0] <= MAX_CHANNELS:
        raise InputError(f"{name} has {wave.shape[0]} channels; 1 to {MAX_CHANNELS} are allowed")
    if wave.shape[1] == 0:
        raise InputError(f"{name} has no samples")
    if not torch.isfinite(wave).all():
        raise InputError(f"{name} holds NaN or infinite samples")
    return wave


def load_audio(
    source: Path | BinaryIO, max_duration_s: float = _MAX_DURATION_S, name: str = ""
) -> tuple[Tensor, int]:
    """Read an audio file: wave (C, S) float32, and its rate in Hz.

    WAV, FLAC, OGG, MP3, …: what libsndfile reads; errors call it ``name``, or by its path. Files
    longer than ``max_duration_s`` are refused before they are read.

    Raises:
        InputError: missing, unreadable, empty or over-long file, or more than eight channels.
    """
    import soundfile

    name, file = name or str(source), str(source) if isinstance(source, Path) else source
    try:
        with soundfile.SoundFile(file) as stream:
            duration_s = stream.frames / stream.samplerate
            if duration_s > max_duration_s:
                raise InputError(
                    f"{name} lasts {duration_s:.0f} s, more than the {max_duration_s:.0f} s "
                    "allowed; cut it first"
                )
            if stream.channels > MAX_CHANNELS:
                raise InputError(f"{name} has {stream.channels} channels; 1 to {MAX_CHANNELS} "
                                 "are allowed")  # fmt: skip
            if stream.channels * stream.frames > MAX_VALUES:  # whatever rate the header claims
                raise InputError(
                    f"{name} holds {stream.channels} × {stream.frames} samples, more than the "
                    f"{MAX_VALUES} allowed; cut it, or lower its rate, first"
                )
            data, rate = stream.read(dtype="float32", always_2d=True), int(stream.samplerate)
    except (soundfile.SoundFileError, OSError, TypeError) as error:  # TypeError: *.raw, no header
        raise InputError(f"{name} cannot be read as audio: {error}") from error
    return check_wave(torch.from_numpy(data.T.copy()), name), rate


def save_audio(path: Path, wave: Tensor, sample_rate_hz: int, subtype: str | None = None) -> Path:
    """Write (C, S) audio atomically; the suffix of ``path`` chooses the format.

    Integer formats clip samples beyond ±1. ``subtype`` is libsndfile's, such as ``"PCM_16"``; None
    is the format's default.
    """
    import soundfile

    data = check_wave(wave.detach().cpu().float(), "audio to save").numpy().T
    return write_atomic(
        path, lambda part: soundfile.write(str(part), data, sample_rate_hz, subtype=subtype)
    )


def to_mono(wave: Tensor) -> Tensor:
    """Mean over channels, (C, S) → (1, S)."""
    return wave.mean(dim=0, keepdim=True)


def channel_mean(waves: Tensor) -> Tensor:
    """Mean over channels, (B, C, S) → (B, S): for libraries that read mono rows.

    Raises:
        InputError: not (B, C, S) with C ≥ 1 and S ≥ 1.
    """
    if waves.ndim != 3 or 0 in waves.shape[1:]:
        raise InputError(f"waves must have shape (B, C, S) with S > 0, got {tuple(waves.shape)}")
    return waves.mean(dim=1)


def resample(wave: Tensor, from_hz: int, to_hz: int, filter_width: int = 6) -> Tensor:
    """Band-limited resampling along the last axis (windowed sinc, torchaudio).

    ``filter_width`` counts zero crossings of the filter on each side; more keep more of what lies
    close to half the lower rate.

    Raises:
        InputError: a rate below 1 Hz, or two rates with so small a common divisor that the
            filter would take gigabytes.
    """
    if from_hz == to_hz:
        return wave
    if min(from_hz, to_hz) < 1:
        raise InputError(f"cannot resample from {from_hz} Hz to {to_hz} Hz")
    if from_hz * to_hz // math.gcd(from_hz, to_hz) ** 2 > _MAX_KERNEL_VALUES:
        raise InputError(
            f"{from_hz} Hz is no usual rate and cannot be brought to {to_hz} Hz; convert the audio "
            "to 44 100 or 48 000 Hz first"
        )
    import torchaudio.functional

    resampled: Tensor = torchaudio.functional.resample(
        wave, from_hz, to_hz, lowpass_filter_width=filter_width
    )
    return resampled


def fit_length(wave: Tensor, n_samples: int) -> Tensor:
    """Cut or zero-pad the last axis to ``n_samples``."""
    missing = n_samples - wave.shape[-1]
    if missing <= 0:
        return wave[..., :n_samples]
    return torch.nn.functional.pad(wave, (0, missing))


def level_dbfs(waves: Tensor) -> Tensor:
    """Root-mean-square level of each clip of (B, C, S) in dB of full scale, −120 for silence."""
    power = waves.double().square().mean(dim=(1, 2))
    return 10 * torch.log10(power.clamp_min(1e-12))


def clipped_share(waves: Tensor, ceiling: float = 0.999) -> Tensor:
    """Share (B,) of the samples of (B, C, S) at or beyond ``ceiling`` of full scale."""
    return (waves.abs() >= ceiling).double().mean(dim=(1, 2))


def resampled_rows(
    waves: Float[Tensor, "B C S"], sample_rate_hz: int, to_hz: int
) -> Float[Tensor, "B R"]:
    """Waves as mono rows at the rate that an encoder reads, float32 on the CPU.

    Raises:
        InputError: not (B, C, S) with S > 0, NaN or infinite samples, or a rate below 1 Hz.
    """
    rows = channel_mean(waves)
    if not torch.isfinite(rows).all():
        raise InputError("waves hold NaN or infinite samples")
    # PAPER-SILENT: the paper names no resampler. The release has torchaudio's for the ranker, its
    # Kaiser window for latents, soxr for evaluation; torchaudio's Hann window is used throughout.
    return resample(rows.detach().cpu().float(), sample_rate_hz, to_hz)
