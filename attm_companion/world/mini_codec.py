"""A small 1-D mel VAE: the mini cast of MMAudio's codec (Section III-A).

Mel frames are shortened eightfold in time. Encoder and decoder are each a linear map of 8-frame
patches, started at the principal components of the training set, plus a residual convolutional
network that improves on it: training spends its minute on what a linear codec cannot do.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from attm_companion.world.config import MiniCodecConfig
from attm_companion.world.fitting import fit, random_crops
from attm_companion.world.griffin_lim import GriffinLim
from attm_companion.world.mel_tower import Residual
from attm_core.audio import channel_mean
from attm_core.codec.mel import MEL_16K_MINI, LogMel
from attm_core.errors import InputError
from attm_core.weights import build

Conv = nn.Conv1d | nn.ConvTranspose1d
CHUNK = 32
STRIDE = 8
LOG_VARIANCE_RANGE = (-12.0, 4.0)
FIRST_LOG_VARIANCE = -4.0


class MiniCodec(nn.Module):
    """Waves (B, S) ↔ latents (B, N, C); meets ``Codec``.

    Raises:
        InputError: ``n_samples`` is not a whole number of latents.
    """

    band_mean: Tensor
    band_std: Tensor

    def __init__(self, config: MiniCodecConfig) -> None:
        super().__init__()
        samples_per_latent = STRIDE * MEL_16K_MINI.hop
        if config.n_samples % samples_per_latent:
            raise InputError(f"n_samples must be a multiple of {samples_per_latent}")
        self.config = config
        self.sample_rate_hz = MEL_16K_MINI.sample_rate_hz
        self.n_samples = config.n_samples
        self.n_latents = config.n_samples // samples_per_latent
        self.n_channels = config.n_channels
        self.log_mel = LogMel(MEL_16K_MINI)
        self.vocoder = GriffinLim(MEL_16K_MINI, config.vocoder)
        self.encoder = _encoder(config)
        self.decoder = _decoder(config)
        self.register_buffer("band_mean", torch.zeros(MEL_16K_MINI.n_mels, 1))
        self.register_buffer("band_std", torch.ones(MEL_16K_MINI.n_mels, 1))

    @torch.no_grad()
    def encode(
        self, waves: Float[Tensor, "B C S"]
    ) -> tuple[Float[Tensor, "B N D"], Float[Tensor, "B N D"]]:
        """Posterior mean and deviation of 16 kHz waves; ``InputError`` unless of ``n_samples``."""
        rows = channel_mean(waves)
        if rows.shape[1] != self.n_samples:
            raise InputError(f"waves have {rows.shape[1]} samples, not {self.n_samples}")
        parts = [self.posterior(self.standardize(self.log_mel(p))) for p in rows.split(CHUNK)]
        mean = torch.cat([mean for mean, _ in parts])
        std = torch.cat([(0.5 * log_variance).exp() for _, log_variance in parts])
        return mean.transpose(1, 2).contiguous(), std.transpose(1, 2).contiguous()

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "B N D"]) -> Float[Tensor, "B 1 S"]:
        """Waves of latents, by way of their mel spectrogram and the vocoder."""
        parts = [self.vocoder(self.decode_mel(part)) for part in latents.split(CHUNK)]
        return torch.cat(parts)[:, None]

    @torch.no_grad()
    def decode_mel(self, latents: Float[Tensor, "B N C"]) -> Float[Tensor, "B M L"]:
        """Natural-log mel spectrogram of latents; ``InputError`` unless ``n_channels`` wide."""
        if latents.shape[-1] != self.n_channels:
            raise InputError(f"latents are {latents.shape[-1]} wide, not {self.n_channels}")
        mel: Tensor = self.decoder(latents.transpose(1, 2).float())
        return mel * self.band_std + self.band_mean

    def standardize(self, log_mel: Float[Tensor, "B M L"]) -> Float[Tensor, "B M L"]:
        """Each band with the training set's mean 0 and deviation 1."""
        return (log_mel - self.band_mean) / self.band_std

    def posterior(
        self, mel: Float[Tensor, "B M L"]
    ) -> tuple[Float[Tensor, "B C N"], Float[Tensor, "B C N"]]:
        """Mean and log-variance, channels first, of standardised mel spectrograms."""
        mean, log_variance = self.encoder(mel).chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCE_RANGE)


def _block(width: int) -> Residual:
    """Two kernel-3 convolutions with group normalisation."""
    norm = partial(nn.GroupNorm, 8, width)
    return Residual(norm, nn.SiLU, partial(nn.Conv1d, width, width, 3, padding=1))


class Half(nn.Module):
    """One half of the codec: a linear map of patches plus a residual network that improves on it.

    ``linear`` goes between mel frames and latents in one step, ``enter`` to the network's first
    width, ``change`` to its second width and other rate, ``last`` to what the half gives; at each
    rate are as many residual blocks as ``blocks``.
    """

    def __init__(self, linear: Conv, last: Conv, enter: Conv, change: Conv, blocks: int) -> None:
        super().__init__()
        self.linear, self.last = linear, last
        first, second = change.in_channels, change.out_channels
        self.network = nn.Sequential(
            enter,
            *[_block(first) for _ in range(blocks)],
            change,
            *[_block(second) for _ in range(blocks)],
            nn.GroupNorm(8, second),
        )

    def forward(self, x: Float[Tensor, "B C L"]) -> Float[Tensor, "B C2 L2"]:
        """Linear part plus residual; channels that the former lacks are the network's alone."""
        linear, residual = self.linear(x), self.last(self.network(x))
        spare = residual.shape[1] - linear.shape[1]
        both: Tensor = F.pad(linear, (0, 0, 0, spare)) + residual
        return both.float()


def _encoder(config: MiniCodecConfig) -> Half:
    """(B, M, L) → (B, 2C, L / 8): mean and log-variance."""
    (quarter, eighth), n_mels, width = config.widths, MEL_16K_MINI.n_mels, config.n_channels
    linear, last = nn.Conv1d(n_mels, width, STRIDE, STRIDE), nn.Conv1d(eighth, 2 * width, 1)
    enter, change = nn.Conv1d(n_mels, quarter, 4, 4), nn.Conv1d(quarter, eighth, 2, 2)
    return Half(linear, last, enter, change, config.blocks)


def _decoder(config: MiniCodecConfig) -> Half:
    """(B, C, N) → standardised mel (B, M, 8N)."""
    (quarter, eighth), n_mels, width = config.widths, MEL_16K_MINI.n_mels, config.n_channels
    linear = nn.ConvTranspose1d(width, n_mels, STRIDE, STRIDE)
    last = nn.ConvTranspose1d(quarter, n_mels, 4, 4)
    enter, change = (
        nn.Conv1d(width, eighth, 3, padding=1),
        nn.ConvTranspose1d(eighth, quarter, 2, 2),
    )
    return Half(linear, last, enter, change, config.blocks)


def train_mini_codec(
    waves: Float[Tensor, "n S"], config: MiniCodecConfig, generator: Generator
) -> MiniCodec:
    """Train on mono 16 kHz clips: L1 of the standardised log-mel plus a weak KL term.

    The generator draws weights, batches, windows and posterior noise.

    Raises:
        InputError: there is no clip, or ``crop_frames`` is not a multiple of 8.
    """
    if config.crop_frames % STRIDE:
        raise InputError(f"crop_frames must be a multiple of {STRIDE}, not {config.crop_frames}")
    codec = build(lambda: MiniCodec(config), generator)
    mels = codec.log_mel.in_chunks(waves)
    std, mean = torch.std_mean(mels, dim=(0, 2))
    codec.band_mean.copy_(mean[:, None])
    codec.band_std.copy_(std[:, None].clamp_min(1e-3))
    mels = codec.standardize(mels)
    _start_at_principal_components(codec, mels, generator)

    def loss(rows: Tensor) -> Tensor:
        crops = random_crops(mels[rows], config.crop_frames, generator)
        mean, log_variance = codec.posterior(crops)
        noise = torch.randn(mean.shape, generator=generator)
        rebuilt = codec.decoder(mean + (0.5 * log_variance).exp() * noise)
        return F.l1_loss(rebuilt, crops) + config.kl_weight * kl_divergence(mean, log_variance)

    fit(codec, loss, len(waves), config.fit, generator, "mini codec")
    return codec


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Float[Tensor, ""]:
    """Mean over latent values of KL(N(mean, variance) ‖ N(0, 1)), in nats."""
    return 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance).mean()


def principal_components(patches: Float[Tensor, "n d"], k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` leading unit eigenvectors (k, d) of the covariance and their deviations (k,)."""
    centred = (patches - patches.mean(0)).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(patches))
    leading = vectors[:, -k:].flip(1).T
    return leading.float(), values[-k:].flip(0).clamp_min(1e-12).sqrt().float()


@torch.no_grad()
def _start_at_principal_components(codec: MiniCodec, mels: Tensor, generator: Generator) -> None:
    """Whitened principal components as the linear parts; both residual networks start at zero."""
    crops = random_crops(mels, 4 * STRIDE, generator)
    patches = crops.unflatten(2, (-1, STRIDE)).permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    components, deviations = principal_components(patches, codec.n_channels)
    encoder, decoder = codec.encoder.linear, codec.decoder.linear
    encoder.weight.copy_((components / deviations[:, None]).view_as(encoder.weight))
    decoder.weight.copy_((components * deviations[:, None]).view_as(decoder.weight))
    codec.encoder.last.weight.zero_()
    codec.decoder.last.weight.zero_()
    assert codec.encoder.last.bias is not None
    codec.encoder.last.bias[codec.n_channels :] = FIRST_LOG_VARIANCE
