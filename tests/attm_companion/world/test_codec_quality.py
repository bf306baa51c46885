"""Codec figures: a judge that hears silence tells the rows apart."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from attm_companion.world.griffin_lim import GriffinLimConfig
from attm_companion.world.mini_codec import MiniCodec, MiniCodecConfig
from attm_companion.world.quality import codec_quality
from attm_core.modules import build
from attm_core.randomness import torch_generator


class PowerJudge:
    """Unit vectors (√loudness, …): the cosine with the text (1, 0) is the root of the power."""

    width = 2

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """(1, 0) for every text."""
        return torch.tensor([[1.0, 0.0]]).expand(len(texts), 2)

    def embed_audio(self, waves: Tensor, sample_rate_hz: int) -> Tensor:
        """(rms, √(1 − rms²))."""
        assert sample_rate_hz == 16_000
        power = waves.square().mean(-1).clamp(0, 1)
        return torch.stack([power.sqrt(), (1 - power).sqrt()], dim=1)


def test_figures_by_hand() -> None:
    config = MiniCodecConfig(
        n_samples=4096, n_channels=2, widths=(8, 8), vocoder=GriffinLimConfig(n_iterations=4)
    )
    codec = build(lambda: MiniCodec(config), torch_generator(0)).eval()
    waves = 0.5 * torch.sin(0.3 * torch.arange(4096.0)).expand(3, -1)
    quality = codec_quality(codec, PowerJudge(), waves, ["x"] * 3, torch_generator(1))
    assert quality["real"] == pytest.approx(0.5 / 2**0.5, rel=1e-3)
    assert quality["vocoder"] == pytest.approx(quality["real"], rel=0.4)
    assert quality["retention"] == pytest.approx(quality["round_trip"] / quality["real"])
    assert set(quality) == {"real", "vocoder", "round_trip", "noise", "retention", "mel_l1"}
