import torch
from toy_instruments import toy_clips

from attm_companion.world.config import GriffinLimConfig
from attm_companion.world.griffin_lim import GriffinLim
from attm_core.codec.mel import MEL_16K_MINI, LogMel

TONES, _, _ = toy_clips(3, seed=0)


def test_synthesis_inverts_analysis() -> None:
    vocoder = GriffinLim(MEL_16K_MINI)
    back = vocoder._synthesize(vocoder._analyze(TONES))
    inner = slice(512, -512)  # the outermost samples are seen by vanishing windows only
    assert torch.allclose(back[:, inner], TONES[:, inner], atol=1e-5)


def test_linear_magnitude_reproduces_the_mel() -> None:
    vocoder = GriffinLim(MEL_16K_MINI, GriffinLimConfig(n_inversion_steps=50))
    mel = LogMel(MEL_16K_MINI)(TONES).exp()
    magnitude = vocoder.linear_magnitude(mel)
    assert (magnitude >= 0).all()
    assert float((vocoder.filters @ magnitude - mel).norm() / mel.norm()) < 0.02


def test_iterations_bring_the_mel_closer() -> None:
    target = LogMel(MEL_16K_MINI)(TONES)
    vocoders = (GriffinLim(MEL_16K_MINI, GriffinLimConfig(n_iterations=n)) for n in (0, 16))
    mels = (LogMel(MEL_16K_MINI)(vocoder(target)) for vocoder in vocoders)
    without, after = (float((mel - target).abs().mean()) for mel in mels)
    assert after < 0.9 * without


def test_range_and_determinism_and_no_influence_of_companions() -> None:
    target = LogMel(MEL_16K_MINI)(TONES)
    vocoder = GriffinLim(MEL_16K_MINI, GriffinLimConfig(n_iterations=2))
    waves = vocoder(target)
    assert waves.shape == TONES.shape
    assert waves.abs().max() <= 1.0
    assert torch.equal(waves, vocoder(target))
    assert torch.allclose(waves[2:], vocoder(target[2:]), atol=1e-4)
