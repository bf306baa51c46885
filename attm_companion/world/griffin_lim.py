"""Mel spectrogram → wave by fast Griffin-Lim (Perraudin et al. 2013): no weights, deterministic.

Linear magnitudes come from the mel bands by non-negative least squares (multiplicative updates from
the pseudo-inverse); the phase is then made consistent with them by alternating projections with
momentum. It stands in for BigVGAN in the small casts.
"""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from attm_companion.world.config import GriffinLimConfig
from attm_core.codec.mel import LogMel, MelConfig
from attm_core.randomness import torch_generator

TINY = 1e-8
CHUNK = 2  # clips at once: a projection of two fits into a core's cache, and is twice as fast


class GriffinLim:
    """Log-mel spectrograms (B, M, L) → waves (B, L · hop) in [-1, 1]."""

    def __init__(self, mel: MelConfig, config: GriffinLimConfig | None = None) -> None:
        self.mel = mel
        self.config = config or GriffinLimConfig()
        log_mel = LogMel(mel)
        self.window = log_mel.window
        self.filters = log_mel.filters
        self.pseudo_inverse = torch.linalg.pinv(self.filters)

    @torch.no_grad()
    def __call__(self, log_mel: Float[Tensor, "B M L"]) -> Float[Tensor, "B S"]:
        """Waves whose log-mel spectrogram is close to ``log_mel``; equal for equal input."""
        magnitude = self.linear_magnitude(log_mel.float().exp()).transpose(1, 2)
        # Random unit phasors (L, F), the same for every clip and every run.
        generator = torch_generator(0, "griffin-lim", "first phase")
        angle = torch.rand(magnitude.shape[1:], generator=generator) * 2 * math.pi
        phase = torch.polar(torch.ones_like(angle), angle)
        padding = self.mel.padding
        waves = [self._search(part, phase)[:, padding:-padding] for part in magnitude.split(CHUNK)]
        return torch.cat(waves).clamp(-1.0, 1.0)

    def linear_magnitude(self, mel: Float[Tensor, "B M L"]) -> Float[Tensor, "B F L"]:
        """Non-negative magnitudes with ``filters @ magnitude ≈ mel`` (Lee and Seung's updates)."""
        magnitude = torch.matmul(self.pseudo_inverse, mel).clamp_min(TINY)
        target = torch.matmul(self.filters.T, mel)
        for _ in range(self.config.n_inversion_steps):
            # Two thin products instead of one with the square matrix filtersᵀ · filters.
            predicted = torch.matmul(self.filters.T, torch.matmul(self.filters, magnitude))
            magnitude = magnitude * target / predicted.clamp_min(TINY)
        return magnitude

    def _search(self, magnitude: Tensor, phase: Tensor) -> Tensor:
        """Alternate between "is the spectrum of a wave" and "has these magnitudes"."""
        waves = self._synthesize(magnitude * phase)
        previous = torch.zeros_like(phase)
        for _ in range(self.config.n_iterations):
            consistent = self._analyze(waves)
            ahead = consistent + self.config.momentum * (consistent - previous)
            previous = consistent
            # |z| spelled out: torch's complex abs guards against overflow at four times the cost.
            size = (ahead.real.square() + ahead.imag.square() + TINY**2).sqrt()
            waves = self._synthesize(ahead * (magnitude / size))
        return waves

    def _analyze(self, waves: Tensor) -> Complex[Tensor, "B L F"]:
        frames = waves.unfold(1, self.mel.n_fft, self.mel.hop)
        spectrum: Tensor = torch.fft.rfft(frames * self.window)
        return spectrum

    def _synthesize(self, spectrum: Complex[Tensor, "B L F"]) -> Tensor:
        """Least-squares inverse: windowed overlap-add over the summed squared window."""
        frames = torch.fft.irfft(spectrum, n=self.mel.n_fft) * self.window
        weight = (self.window**2).expand(1, frames.shape[1], -1)
        # At the outer edges, inside the padding that is cut off later, the windows sum to nothing.
        return self._overlap_add(frames) / self._overlap_add(weight).clamp_min(1e-3)

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """(B, L, n_fft) → (B, (L − 1)·hop + n_fft)."""
        hop, n_frames = self.mel.hop, frames.shape[1]
        n_parts = self.mel.n_fft // hop
        total = frames.new_zeros(len(frames), n_frames + n_parts - 1, hop)
        for index, part in enumerate(frames.unflatten(2, (n_parts, hop)).unbind(2)):
            total[:, index : index + n_frames] += part
        return total.flatten(1)
