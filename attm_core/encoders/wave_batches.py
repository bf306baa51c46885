"""Checks that the paper's audio encoders make of what they are given."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.audio import channel_mean, resample
from attm_core.errors import InputError


def resampled_batch(
    waves: Float[Tensor, "B C S"], sample_rate_hz: int, to_hz: int
) -> Float[Tensor, "B R"]:
    """Waves as mono rows at the rate that an encoder reads, float32 on the CPU.

    Raises:
        InputError: not (B, C, S) with S > 0, NaN or infinite samples, or a rate below 1 Hz.
    """
    rows = channel_mean(waves)
    if sample_rate_hz < 1:
        raise InputError(f"a sample rate of {sample_rate_hz} Hz is impossible")
    if not torch.isfinite(rows).all():
        raise InputError("waves hold NaN or infinite samples")
    # PAPER-SILENT: the release resamples with torchaudio for the ranker and with librosa's soxr
    # for evaluation; the paper names neither. torchaudio's windowed sinc is used throughout.
    return resample(rows.detach().cpu().float(), sample_rate_hz, to_hz)
