"""Log-mel spectrograms (Section III-A): one implementation, parameters for both casts.

The transform is that of MMAudio's 44.1 kHz codec: waveform clamped to ±1, reflect-padded so that S
samples give S / hop frames, Hann window, magnitude √(re² + im² + 1e-9), Slaney mel filterbank,
natural logarithm of at least ``floor``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from attm_core.errors import InputError

_MAGNITUDE_EPS = 1e-9


@dataclass(frozen=True)
class MelConfig:
    """Constants of a log-mel spectrogram."""

    sample_rate_hz: int
    n_fft: int  # window and FFT length, samples
    hop: int  # samples between frames
    n_mels: int  # bands M
    f_min_hz: float  # lower edge of the first band
    f_max_hz: float  # upper edge of the last band
    floor: float = 1e-5  # magnitudes are clamped to this before the logarithm

    @property
    def padding(self) -> int:
        """Samples added on each side so that S samples give S / hop frames."""
        return (self.n_fft - self.hop) // 2


MEL_16K_MINI = MelConfig(16_000, 1024, 256, 64, 0.0, 8_000.0)
MEL_44K = MelConfig(44_100, 2048, 512, 128, 0.0, 22_050.0)


def _hz_to_mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel scale: linear below 1 kHz (15 mel), then 27 mel to a factor of 6.4."""
    log_part = 15.0 + np.log(np.maximum(hertz, 1000.0) / 1000.0) * (27.0 / np.log(6.4))
    return np.where(hertz < 1000.0, hertz * 0.015, log_part)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of ``_hz_to_mel``."""
    log_part = 1000.0 * np.exp((np.maximum(mel, 15.0) - 15.0) * (np.log(6.4) / 27.0))
    return np.where(mel < 15.0, mel / 0.015, log_part)


def mel_filterbank(config: MelConfig) -> Float[Tensor, "M F"]:
    """Triangular filters of unit area (Slaney's norm), F = n_fft / 2 + 1 frequencies."""
    low, high = _hz_to_mel(np.array([config.f_min_hz, config.f_max_hz]))
    edges = _mel_to_hz(np.linspace(float(low), float(high), config.n_mels + 2))[:, None]
    bins = np.linspace(0.0, config.sample_rate_hz / 2, config.n_fft // 2 + 1)[None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    area_norm = 2.0 / (edges[2:] - edges[:-2])
    return torch.from_numpy((triangles * area_norm).astype(np.float32))


class LogMel:
    """Waves (B, S) → natural-log mel spectrogram (B, M, L), L = S / hop."""

    def __init__(self, config: MelConfig) -> None:
        self.config = config
        self.window = torch.hann_window(config.n_fft)
        self.filters = mel_filterbank(config)

    def __call__(self, waves: Float[Tensor, "B S"]) -> Float[Tensor, "B M L"]:
        """Log-mel spectrogram of waves in [-1, 1]; gradients flow.

        Raises:
            InputError: fewer samples than reflection needs ((n_fft − hop) / 2 + 1).
        """
        config, window = self.config, self.window.to(waves.device)
        if waves.shape[-1] <= config.padding:
            raise InputError(f"{waves.shape[-1]} samples are too few for a mel spectrogram; at "
                             f"least {config.padding + 1} are needed")  # fmt: skip
        sides = (config.padding, config.padding)
        padded = F.pad(waves.clamp(-1.0, 1.0)[:, None], sides, mode="reflect")[:, 0]
        spectrum = torch.stft(
            padded, config.n_fft, config.hop, window=window, center=False, return_complex=True
        )
        power = torch.view_as_real(spectrum).square().sum(-1)
        mel = torch.matmul(self.filters.to(waves.device), (power + _MAGNITUDE_EPS).sqrt())
        return mel.clamp_min(config.floor).log()

    def in_chunks(self, waves: Float[Tensor, "n S"], chunk: int = 64) -> Float[Tensor, "n M L"]:
        """The same for many waves, without gradients, ``chunk`` at a time to bound memory."""
        with torch.no_grad():
            return torch.cat([self(part.float()) for part in waves.split(chunk)])
