"""Another backbone: a convolutional U-Net in the place of FluxAudio's transformer blocks.

Input map, time and text embedding, score heads and output layer stay FluxAudio's, so that `sft`,
the sampler and the heads v1 and v2 are the same code. There is no attention: text reaches the U-Net
by the pooled embedding in the global condition c alone. B batch, n frames of a level, D width.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attm_core.backbone.blocks import SwiGLU, ada_ln, modulate
from attm_core.backbone.config import FluxAudioConfig
from attm_core.backbone.flux_audio import FluxAudio, initialize
from attm_core.constants import HEADS
from attm_core.errors import ConfigError

N_LEVELS = 2  # each halves the number of frames
HEADS_WITHOUT_TOKENS = ("none", HEADS["v1"], HEADS["v2"])


class ConvBlock(nn.Module):
    """A gated convolutional feed-forward layer of kernel 3 under adaptive layer normalisation."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.adaLN_modulation = ada_ln(width, 3)
        self.ffn = SwiGLU(width, hidden, kernel=3)

    def forward(self, x: Float[Tensor, "B n D"], c: Tensor) -> Float[Tensor, "B n D"]:
        """One residual update."""
        shift, scale, gate = self.adaLN_modulation(c).chunk(3, dim=-1)
        return torch.addcmul(x, self.ffn(modulate(x, shift, scale)), gate)


class UNet(nn.Module):
    """Down, middle and up again, with a skip at every level; called as a joint block is."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        down, up = ([ConvBlock(width, hidden) for _ in range(N_LEVELS)] for _ in range(2))
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.middle = ConvBlock(width, hidden)
        self.merge = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(N_LEVELS))

    def forward(
        self,
        streams: tuple[Tensor, Tensor],
        c: Tensor,
        tables: tuple[Tensor, Tensor],
        extra: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Audio (B, N, D) through the U-Net; the text stream passes by."""
        audio, text = streams
        kept = []
        for block in self.down:
            audio = block(audio, c)
            kept.append(audio)
            audio = F.avg_pool1d(audio.transpose(1, 2), 2, ceil_mode=True).transpose(1, 2)
        audio = self.middle(audio, c)
        for block, merge, skip in zip(self.up, self.merge, reversed(kept), strict=True):
            audio = audio.repeat_interleave(2, dim=1)[:, : skip.shape[1]]
            audio = block(merge(torch.cat([audio, skip], dim=-1)).float(), c)
        return audio, text


def unet_backbone(config: FluxAudioConfig, generator: torch.Generator) -> FluxAudio:
    """FluxAudio with a U-Net for blocks; ``ConfigError`` if the head needs blocks or tokens."""
    if config.score_head not in HEADS_WITHOUT_TOKENS:
        raise ConfigError(
            f"the U-Net takes the heads {', '.join(HEADS_WITHOUT_TOKENS)}, not {config.score_head}"
        )
    model = FluxAudio(replace(config, n_joint=1, n_fused=0), generator)
    with torch.random.fork_rng(devices=[]):  # as FluxAudio: the draw is replaced right after
        model.joint_blocks = nn.ModuleList([UNet(config.width, config.ffn_hidden)])
    initialize(model, generator)
    return model
