"""Griffin-Lim: projections, determinism, and the mel spectrogram of what comes out."""

import math

import pytest
import torch
from torch import Tensor

from attm_companion.world.config import GriffinLimConfig
from attm_companion.world.griffin_lim import GriffinLim
from attm_core.codec.mel import MEL_16K_MINI, LogMel


@pytest.fixture(scope="module")
def tones() -> Tensor:
    """Three decaying chords (3, 16384)."""
    time = torch.arange(16_384) / 16_000
    roots = torch.tensor([220.0, 330.0, 470.0])[:, None]
    partials = sum(torch.sin(2 * math.pi * roots * k * time) / k for k in (1, 2, 3, 4))
    return 0.2 * torch.exp(-2 * time) * partials


def distance(waves: Tensor, log_mel: Tensor) -> float:
    return float((LogMel(MEL_16K_MINI)(waves) - log_mel).abs().mean())


def test_synthesis_inverts_analysis(tones: Tensor) -> None:
    vocoder = GriffinLim(MEL_16K_MINI)
    back = vocoder._synthesize(vocoder._analyze(tones))
    inner = slice(512, -512)  # the outermost samples are seen by vanishing windows only
    assert torch.allclose(back[:, inner], tones[:, inner], atol=1e-5)


def test_linear_magnitude_reproduces_the_mel(tones: Tensor) -> None:
    vocoder = GriffinLim(MEL_16K_MINI, GriffinLimConfig(n_inversion_steps=50))
    mel = LogMel(MEL_16K_MINI)(tones).exp()
    magnitude = vocoder.linear_magnitude(mel)
    assert (magnitude >= 0).all()
    assert float((vocoder.filters @ magnitude - mel).norm() / mel.norm()) < 0.02


def test_iterations_bring_the_mel_closer(tones: Tensor) -> None:
    target = LogMel(MEL_16K_MINI)(tones)
    errors = [
        distance(GriffinLim(MEL_16K_MINI, GriffinLimConfig(n_iterations=n))(target), target)
        for n in (0, 16)
    ]
    assert errors[1] < 0.9 * errors[0]


def test_range_and_determinism_and_no_influence_of_companions(tones: Tensor) -> None:
    target = LogMel(MEL_16K_MINI)(tones)
    vocoder = GriffinLim(MEL_16K_MINI, GriffinLimConfig(n_iterations=2))
    waves = vocoder(target)
    assert waves.shape == tones.shape
    assert waves.abs().max() <= 1.0
    assert torch.equal(waves, vocoder(target))
    assert torch.allclose(waves[2:], vocoder(target[2:]), atol=1e-4)
