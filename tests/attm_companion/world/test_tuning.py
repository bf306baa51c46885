import pytest
import torch

from attm_companion.world.tuning import cents_off_scale

RATE = 16_000


def _tones(cents: float) -> torch.Tensor:
    time = torch.arange(2 * RATE) / RATE
    keys = torch.tensor([-7.0, 0.0, 5.0, 14.0]) + cents / 100
    return torch.sin(2 * torch.pi * 440 * 2 ** (keys[:, None] / 12) * time)[:, None]


@pytest.mark.parametrize("cents", [0.0, 12.0, -30.0, 50.0])
def test_tones_are_as_far_off_as_they_were_made(cents):
    assert cents_off_scale(_tones(cents), RATE) == pytest.approx(abs(cents), abs=2.5)


def test_chance_is_known_and_silence_and_level_do_not_count():
    noise = torch.randn(20, 1, 2 * RATE, generator=torch.Generator().manual_seed(1))
    assert cents_off_scale(noise, RATE) == pytest.approx(25.0, abs=6.0)  # a quarter of a semitone
    tones = _tones(0.0)
    tones[..., RATE:] *= 1e-3
    noise = torch.randn(tones.shape, generator=torch.Generator().manual_seed(2))
    assert cents_off_scale(0.1 * tones + 1e-6 * noise, RATE) < 2.5
