"""Checks that the paper's audio encoders make of what they are given."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.audio import resample
from attm_core.errors import InputError


def resampled_batch(
    waves: Float[Tensor, "B S"], sample_rate_hz: int, to_hz: int
) -> Float[Tensor, "B R"]:
    """Mono waves at the rate that an encoder reads, float32 on the CPU.

    Raises:
        InputError: not (B, S) with S > 0, NaN or infinite samples, or a rate below 1 Hz.
    """
    if waves.ndim != 2 or waves.shape[1] == 0:
        raise InputError(f"waves must have shape (B, S) with S > 0, got {tuple(waves.shape)}")
    if sample_rate_hz < 1:
        raise InputError(f"a sample rate of {sample_rate_hz} Hz is impossible")
    if not torch.isfinite(waves).all():
        raise InputError("waves hold NaN or infinite samples")
    # PAPER-SILENT: the release resamples with torchaudio for the ranker and with librosa's soxr
    # for evaluation; the paper names neither. torchaudio's windowed sinc is used throughout.
    return resample(waves.detach().cpu().float(), sample_rate_hz, to_hz)
