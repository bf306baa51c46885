"""MMAudio's 1-D mel VAE (Section III-A), with the reference's 57 state-dict names.

Three levels of 1, 2 and 4 times the base width; time is halved once, after the first level of the
encoder, and doubled once, after the middle level of the decoder. The 44.1 kHz model has
305,479,682 parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from attm_core.codec.mp_layers import (
    Downsample,
    MPConv1d,
    ResBlock,
    SelfAttention,
    Upsample,
    effective_weight,
    mp_silu,
)
from attm_core.configuration import MMAudioVAEConfig
from attm_core.weights import read_state_dict, require_fit

_MULTIPLES = (1, 2, 4)
_DOWNSAMPLED_LEVEL = 0
_UPSAMPLED_LEVEL = 1
_ENCODER_BLOCKS = 2
_DECODER_BLOCKS = 3
_MAX_ACTIVATION = 256.0
_LOG_VARIANCE_RANGE = (-30.0, 20.0)
FRAMES_PER_LATENT = 2
RANDOM_BAND_MEAN = -5.0
RANDOM_BAND_STD = 2.3


class MMAudioVAE(nn.Module):
    """Natural-log mel (B, M, L) ↔ latents (B, C, L / 2), channels first.

    Made on the meta device, without values: `load_mmaudio_vae` and `random_mmaudio_vae` fill it.
    ``data_mean`` and ``data_std`` (1, M, 1) are those of each band over MMAudio's training set.
    """

    data_mean: Tensor
    data_std: Tensor

    def __init__(self, config: MMAudioVAEConfig) -> None:
        super().__init__()
        self.config = config
        with torch.device("meta"):
            self.encoder = _Encoder(config)
            self.decoder = _Decoder(config)
            self.register_buffer("data_mean", torch.empty(1, config.n_mels, 1))
            self.register_buffer("data_std", torch.empty(1, config.n_mels, 1))

    @torch.no_grad()
    def encode(
        self, log_mel: Float[Tensor, "B M L"]
    ) -> tuple[Float[Tensor, "B C N"], Float[Tensor, "B C N"]]:
        """Posterior mean and standard deviation."""
        moments = self.encoder((log_mel - self.data_mean) / self.data_std)
        mean, log_variance = moments.chunk(2, dim=1)
        return mean, (0.5 * log_variance.clamp(*_LOG_VARIANCE_RANGE)).exp()

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "B C N"]) -> Float[Tensor, "B M L"]:
        """Natural-log mel of latents."""
        mel: Tensor = self.decoder(latents) * self.data_std + self.data_mean
        return mel


class _Encoder(nn.Module):
    """Standardised mel (B, M, L) → mean and log-variance (B, 2C, L / 2)."""

    def __init__(self, config: MMAudioVAEConfig) -> None:
        super().__init__()
        widths = [config.width * multiple for multiple in _MULTIPLES]
        self.conv_in = MPConv1d(config.n_mels, widths[0], 3)
        self.down = nn.ModuleList(
            _Level(n_in, n_out, _ENCODER_BLOCKS, shorten=level == _DOWNSAMPLED_LEVEL)
            for level, (n_in, n_out) in enumerate(pairwise([widths[0], *widths]))
        )
        self.mid = _Middle(widths[-1])
        self.conv_out = MPConv1d(widths[-1], 2 * config.n_channels, 3)
        self.learnable_gain = nn.Parameter(torch.empty(()))

    def forward(self, mel: Float[Tensor, "B M L"]) -> Float[Tensor, "B C2 N"]:
        """Levels in order, each followed by its change of rate."""
        x = self.conv_in(mel)
        for level in self.down:
            x = level(x)
        moments: Tensor = self.conv_out(mp_silu(self.mid(x))) * (self.learnable_gain + 1.0)
        return moments


class _Decoder(nn.Module):
    """Latents (B, C, N) → standardised mel (B, M, 2N)."""

    def __init__(self, config: MMAudioVAEConfig) -> None:
        super().__init__()
        widths = [config.width * multiple for multiple in _MULTIPLES]
        self.conv_in = MPConv1d(config.n_channels, widths[-1], 3)
        self.mid = _Middle(widths[-1])
        self.up = nn.ModuleList(
            _Level(n_in, n_out, _DECODER_BLOCKS, lengthen=level == _UPSAMPLED_LEVEL)
            for level, (n_out, n_in) in enumerate(pairwise([*widths, widths[-1]]))
        )
        self.conv_out = MPConv1d(widths[0], config.n_mels, 3)
        self.learnable_gain = nn.Parameter(torch.empty(()))

    def forward(self, latents: Float[Tensor, "B C N"]) -> Float[Tensor, "B M L"]:
        """Levels in reverse, each followed by its change of rate."""
        x = self.mid(self.conv_in(latents))
        for level in reversed(self.up):
            x = level(x)
        mel: Tensor = self.conv_out(mp_silu(x)) * (self.learnable_gain + 1.0)
        return mel


class _Level(nn.Module):
    """Residual blocks of one width, with activations limited after each, and a change of rate.

    The first block changes the width; ``shorten`` and ``lengthen`` halve and double the length at
    the end.
    """

    def __init__(
        self, n_in: int, n_out: int, n_blocks: int, *, shorten: bool = False, lengthen: bool = False
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResBlock(n_out if i else n_in, n_out) for i in range(n_blocks))
        self.downsample = Downsample(n_out) if shorten else None
        self.upsample = Upsample(n_out) if lengthen else None

    def forward(self, x: Float[Tensor, "B I L"]) -> Float[Tensor, "B O N"]:
        """Same, half or twice the length."""
        for block in self.block:
            x = _limited(block(x))
        for resample in (self.downsample, self.upsample):
            x = x if resample is None else resample(x)
        return x


class _Middle(nn.Module):
    """Residual block, attention, residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(width, width)
        self.attn_1 = SelfAttention(width)
        self.block_2 = ResBlock(width, width)

    def forward(self, x: Float[Tensor, "B W N"]) -> Float[Tensor, "B W N"]:
        """Same shape; activations limited at the end only."""
        return _limited(self.block_2(self.attn_1(self.block_1(x))))


def _limited(x: Tensor) -> Tensor:
    return x.clamp(-_MAX_ACTIVATION, _MAX_ACTIVATION)


def load_mmaudio_vae(
    source: Path | Mapping[str, Tensor], config: MMAudioVAEConfig | None = None
) -> MMAudioVAE:
    """The VAE from the published checkpoint (``v1-44.pth``) or its state dict, strictly.

    Raises:
        CheckpointError: the file cannot be read, or names, shapes or values do not fit.
    """
    model = MMAudioVAE(config or MMAudioVAEConfig())
    if isinstance(source, Mapping):
        return _fill(model, dict(source), "the state dict")
    return _fill(model, read_state_dict(source), str(source))


def random_mmaudio_vae(generator: Generator, config: MMAudioVAEConfig | None = None) -> MMAudioVAE:
    """An untrained VAE: normal weights, zero gains, all bands of a typical level of music."""
    model = MMAudioVAE(config or MMAudioVAEConfig())
    drawn = {
        name: torch.randn(value.shape, generator=generator) if value.ndim == 3 else torch.zeros(())
        for name, value in model.state_dict().items()
    }
    drawn["data_mean"] = torch.full(model.data_mean.shape, RANDOM_BAND_MEAN)
    drawn["data_std"] = torch.full(model.data_std.shape, RANDOM_BAND_STD)
    return _fill(model, drawn, "the random state dict")


def _fill(model: MMAudioVAE, stored: dict[str, Tensor], source: str) -> MMAudioVAE:
    """Load checked tensors, each dropped once converted: two full copies would be 2.4 GB."""
    require_fit(model.state_dict(), stored, source)
    applied = {}
    for name in list(stored):
        raw = stored.pop(name)
        # Read tensors are mapped: they may change on disk.
        weight = name.endswith(".weight")
        applied[name] = effective_weight(raw) if weight else raw.to(torch.float32, copy=True)
    model.load_state_dict(applied, assign=True)
    return model.eval().requires_grad_(False)
