"""The paper's codec (Section III-A): MMAudio's mel and VAE at 44.1 kHz, and BigVGAN v2.

A latent spans two mel frames of 512 samples. A 10-s clip of 441,000 samples holds 430 whole
latents, that is 440,320 samples; the 680 samples (15 ms) beyond them are not encoded and come back
as silence.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from attm_core.audio import channel_mean, fit_length
from attm_core.codec.bigvgan_vocoder import BIGVGAN_V2_44K, load_bigvgan, random_bigvgan
from attm_core.codec.mel import MEL_44K, LogMel
from attm_core.codec.mmaudio_vae import (
    FRAMES_PER_LATENT,
    MMAudioVAE,
    load_mmaudio_vae,
    random_mmaudio_vae,
)
from attm_core.configuration import CLIP_SAMPLES, MMAudioVAEConfig
from attm_core.errors import ConfigError, InputError

SAMPLES_PER_LATENT = FRAMES_PER_LATENT * MEL_44K.hop


class MMAudioCodec(nn.Module):
    """Waves (B, C, S) ↔ un-normalised latents (B, N, C); meets ``Codec``.

    The vocoder maps log-mel (B, M, L) to waves (B, 1, 512·L); None for a codec that only encodes. N
    is the number of whole latents in a clip of ``n_samples`` at 44.1 kHz; ``batch_size`` clips or
    latents at once bound the memory.

    Raises:
        ConfigError: the VAE is of another mel spectrogram, or a clip is shorter than two latents.
    """

    def __init__(
        self,
        vae: MMAudioVAE,
        vocoder: nn.Module | None,
        n_samples: int = CLIP_SAMPLES,
        batch_size: int = 4,
    ) -> None:
        super().__init__()
        if vae.config.n_mels != MEL_44K.n_mels:
            raise ConfigError(f"the VAE has {vae.config.n_mels} mel bands, not {MEL_44K.n_mels}")
        if n_samples < 2 * SAMPLES_PER_LATENT:
            raise ConfigError(f"n_samples must be at least {2 * SAMPLES_PER_LATENT}")
        self.sample_rate_hz = MEL_44K.sample_rate_hz
        self.n_samples = n_samples
        self.n_latents = n_samples // SAMPLES_PER_LATENT
        self.n_channels = vae.config.n_channels
        self.batch_size = batch_size
        self.log_mel = LogMel(MEL_44K)
        self.vae = vae
        self.vocoder = vocoder

    @classmethod
    def load(
        cls,
        vae: Path,
        vocoder: Path | None,
        n_samples: int = CLIP_SAMPLES,
        config: MMAudioVAEConfig | None = None,
    ) -> MMAudioCodec:
        """The codec from ``v1-44.pth`` and the folder of BigVGAN v2, for inference on the CPU.

        Without vocoder it only encodes; ``config`` is the size of the VAE, None the published one.

        Raises:
            CheckpointError: a file is missing or corrupt, or does not fit.
        """
        generator = None if vocoder is None else load_bigvgan(vocoder, MEL_44K)
        return cls(load_mmaudio_vae(vae, config), generator, n_samples)

    @classmethod
    def random(cls, generator: Generator) -> MMAudioCodec:
        """The published sizes with random weights: what it costs and that it runs, no music."""
        vae = random_mmaudio_vae(generator)
        return cls(vae, random_bigvgan(BIGVGAN_V2_44K, generator))

    @torch.no_grad()
    def encode(
        self, waves: Float[Tensor, "B C S"]
    ) -> tuple[Float[Tensor, "B N C"], Float[Tensor, "B N C"]]:
        """Posterior mean and standard deviation of 44.1 kHz waves in [-1, 1], on the CPU.

        Raises:
            InputError: the waves do not have ``n_samples`` samples, or hold NaN or infinity.
        """
        rows = channel_mean(waves)
        if rows.shape[1] != self.n_samples:
            raise InputError(f"waves have {rows.shape[1]} samples, not {self.n_samples}")
        if not bool(torch.isfinite(rows).all()):  # the spectrogram would clamp infinity to ±1
            raise InputError("waves hold NaN or infinite samples; check how they were read")
        # PAPER-SILENT: whether the samples beyond the last whole latent reach the encoder. They
        # are cut, since MMAudio's VAE was trained on clips of a whole number of latents.
        whole = fit_length(rows, self.n_latents * SAMPLES_PER_LATENT)
        parts, weights = [], self.vae.data_mean
        for part in whole.split(self.batch_size):
            mel = self.log_mel(part.to(weights.device, torch.float32))
            parts.append(self.vae.encode(mel.to(weights.dtype)))
        sides = zip(*parts, strict=True)
        mean, std = (torch.cat(side).transpose(1, 2).float().cpu() for side in sides)
        return mean.contiguous(), std.contiguous()

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "B N C"]) -> Float[Tensor, "B 1 S"]:
        """Waves of latents, zero-padded to ``n_samples``, on the CPU.

        Raises:
            InputError: the latents have another shape, or hold NaN.
            ConfigError: there is no vocoder.
        """
        if self.vocoder is None:
            raise ConfigError("this codec was loaded without a vocoder; give its folder to decode")
        vocoder = self.vocoder
        waves = self._in_parts(latents, lambda part: vocoder(self.vae.decode(part)))
        return fit_length(waves.float(), self.n_samples)

    @torch.no_grad()
    def decode_mel(self, latents: Float[Tensor, "B N C"]) -> Float[Tensor, "B M L"]:
        """Natural-log mel spectrogram of latents.

        Raises:
            InputError: the latents have another shape, or hold NaN.
        """
        return self._in_parts(latents, self.vae.decode)

    def _in_parts(self, latents: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        if latents.ndim != 3 or latents.shape[1:] != (self.n_latents, self.n_channels):
            wanted = f"(batch, {self.n_latents}, {self.n_channels})"
            raise InputError(f"latents have shape {tuple(latents.shape)}, not {wanted}")
        if not bool(torch.isfinite(latents).all()):
            raise InputError("latents hold NaN or infinity; are the latent statistics set?")
        channels_first = latents.transpose(1, 2).to(self.vae.data_mean)
        return torch.cat([function(part).cpu() for part in channels_first.split(self.batch_size)])
