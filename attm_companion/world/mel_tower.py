"""What all mini judges hear through: level, log-mel spectrogram and a convolutional tower."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attm_companion.world.config import PATCH, MelTowerConfig
from attm_core.audio import resample
from attm_core.codec.mel import MEL_16K_MINI, LogMel

CHUNK = 64
# MINI-WORLD: −20 dBFS: as with MERT's ``do_normalize``, no judge hears how loud a clip is.
LISTENING_RMS = 0.1
SILENCE_RMS = 1e-6


class MelTower(nn.Module):
    """Standardised log-mel (B, M, L) → features (B, ``config.width``), pooled over time.

    The bands are kept apart to the end: what a timbre or a production fault *is* depends on where
    in the spectrum it lies.
    """

    def __init__(self, config: MelTowerConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, config.channels[0], PATCH, PATCH)]
        before = config.channels[0]
        for level, channels in enumerate(config.channels):
            if level > 0:
                layers.append(nn.Conv2d(before, channels, 2, 2))
            layers += [_block(channels) for _ in range(config.blocks)]
            before = channels
        self.layers = nn.Sequential(*layers)

    def forward(self, mel: Float[Tensor, "B M L"]) -> Float[Tensor, "B width"]:
        """Mean and maximum over time of the last level."""
        maps = self.layers(mel[:, None].contiguous(memory_format=torch.channels_last))
        flat = maps.flatten(1, 2)
        return torch.cat([flat.mean(-1), flat.amax(-1)], dim=-1).float()


class Residual(nn.Module):
    """x + two convolutions, each after a normalisation and a non-linearity; same shape out."""

    def __init__(self, *layers: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(*(layer() for layer in 2 * layers))

    def forward(self, x: Float[Tensor, "B C *at"]) -> Float[Tensor, "B C *at"]:
        """X + body(x)."""
        refined: Tensor = x + self.body(x)
        return refined


def _block(channels: int) -> Residual:
    """Two 3 × 3 convolutions with batch normalisation."""
    norm = partial(nn.BatchNorm2d, channels)
    return Residual(norm, nn.ReLU, partial(nn.Conv2d, channels, channels, 3, padding=1))


def projection(width: int, hidden: int, out: int) -> nn.Sequential:
    """One hidden layer from features to the space of a contrast."""
    norm, first, last = nn.LayerNorm(width), nn.Linear(width, hidden), nn.Linear(hidden, out)
    return nn.Sequential(norm, first, nn.GELU(), last)


class Ear(nn.Module):
    """Waves at any level and rate → features (B, ``config.width``): spectrogram, then tower.

    One mean and deviation standardise all bands: the tilt of a spectrum stays visible.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: MelTowerConfig) -> None:
        super().__init__()
        self.tower = MelTower(config)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def learn_scale(self, mels: Float[Tensor, "n M L"]) -> None:
        """Take mean and deviation from a training set."""
        sample = mels[:: max(1, len(mels) // 1000)].float()
        std, mean = torch.std_mean(sample)
        self.mean.copy_(mean)
        self.std.copy_(std)

    def standardize(self, mels: Float[Tensor, "B M L"]) -> Float[Tensor, "B M L"]:
        """Mean 0 and deviation 1 over the training set."""
        return (mels.float() - self.mean) / self.std

    @torch.no_grad()
    def hear(self, mels: Float[Tensor, "n M L"]) -> Float[Tensor, "n width"]:
        """Features of what ``listen`` gave, a batch at a time."""
        return torch.cat([self.tower(self.standardize(part)) for part in mels.split(CHUNK)])


@torch.no_grad()
def listen(waves: Float[Tensor, "n S"], sample_rate_hz: int) -> Float[Tensor, "n M L"]:
    """Log-mel spectrograms at 16 kHz of mono waves brought to −20 dBFS RMS; silence stays so."""
    log_mel = LogMel(MEL_16K_MINI)
    parts = []
    for part in waves.split(CHUNK):
        at_rate = resample(part.float(), sample_rate_hz, MEL_16K_MINI.sample_rate_hz)
        level = at_rate.square().mean(-1, keepdim=True).sqrt().clamp_min(SILENCE_RMS)
        parts.append(log_mel(at_rate * (LISTENING_RMS / level)))
    return torch.cat(parts)
