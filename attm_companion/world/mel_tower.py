"""The convolutional audio tower shared by the mini casts of CLAP and MERT."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attm_core.audio import resample
from attm_core.codec.mel import MEL_16K_MINI, LogMel, MelConfig

PATCH = 4


@dataclass(frozen=True)
class MelTowerConfig:
    """Size of the tower.

    Attributes:
        channels: width of each level; the first works on 4 × 4 mel patches, each further level on
            half the bands and half the frames.
        blocks: residual blocks a level.
    """

    channels: tuple[int, ...] = (32, 64, 128)
    blocks: int = 1

    @property
    def width(self) -> int:
        """Width of the pooled output: channels × remaining bands, mean and maximum."""
        bands = MEL_16K_MINI.n_mels // (PATCH << (len(self.channels) - 1))
        return 2 * bands * self.channels[-1]


class MelTower(nn.Module):
    """Standardised log-mel (B, M, L) → features (B, ``config.width``), pooled over time.

    The bands are kept apart to the end: what a timbre or a production fault *is* depends on where
    in the spectrum it lies.

    Args:
        config: size.
    """

    def __init__(self, config: MelTowerConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, config.channels[0], PATCH, PATCH)]
        before = config.channels[0]
        for level, channels in enumerate(config.channels):
            if level > 0:
                layers.append(nn.Conv2d(before, channels, 2, 2))
            layers += [ResidualBlock2d(channels) for _ in range(config.blocks)]
            before = channels
        self.layers = nn.Sequential(*layers)

    def forward(self, mel: Float[Tensor, "B M L"]) -> Float[Tensor, "B width"]:
        """Mean and maximum over time of the last level."""
        maps = self.layers(mel[:, None].contiguous(memory_format=torch.channels_last))
        flat = maps.flatten(1, 2)
        return torch.cat([flat.mean(-1), flat.amax(-1)], dim=-1).float()


class ResidualBlock2d(nn.Module):
    """x + two 3 × 3 convolutions, each after batch normalisation and ReLU.

    Args:
        channels: width in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Same shape out."""
        refined: Tensor = maps + self.body(maps)
        return refined


class MelInput(nn.Module):
    """Waves at any rate → log-mel spectrograms with the training set's mean 0 and deviation 1.

    One mean and deviation for all bands: the tilt of a spectrum stays visible.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mel: MelConfig = MEL_16K_MINI) -> None:
        super().__init__()
        self.log_mel = LogMel(mel)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def fit(self, waves: Float[Tensor, "n S"]) -> Float[Tensor, "n M L"]:
        """Learn the statistics of waves at the mel's own rate; return their spectrograms."""
        mels = self.log_mel.in_chunks(waves)
        std, mean = torch.std_mean(mels)
        self.mean.copy_(mean)
        self.std.copy_(std)
        return mels.sub_(mean).div_(std)

    def forward(self, waves: Float[Tensor, "B S"], sample_rate_hz: int) -> Float[Tensor, "B M L"]:
        """Standardised log-mel of waves at ``sample_rate_hz``."""
        at_rate = resample(waves.float(), sample_rate_hz, self.log_mel.config.sample_rate_hz)
        return (self.log_mel(at_rate) - self.mean) / self.std
