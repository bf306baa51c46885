"""What LAION-CLAP reads of an audio: quantised, exactly ten seconds, at a fixed place."""

import torch

from attm_core.encoders.laion_clap import _WINDOW, _quantize, _ten_seconds


def test_quantisation_truncates_and_clips() -> None:
    waves = torch.tensor([[0.0, 0.5, -0.5, 1.7, -1.7, 1.9 / 32767, -1.9 / 32767]])
    whole = [0, 16383, -16383, 32767, -32767, 1, -1]
    assert torch.equal(_quantize(waves), torch.tensor([whole]) / 32767)


def test_short_audio_is_repeated_whole_then_padded_and_long_audio_cropped() -> None:
    waves = torch.arange(1.0, 190_001.0)[None]
    padding = torch.zeros(1, _WINDOW - 380_000)
    assert torch.equal(_ten_seconds(waves), torch.cat([waves, waves, padding], dim=1))
    assert torch.equal(_ten_seconds(torch.ones(1, 1)), torch.ones(1, _WINDOW))
    waves = torch.arange(_WINDOW + 101.0)[None]
    assert _ten_seconds(waves)[0, 0] == 50
    assert _ten_seconds(waves, "start")[0, 0] == 0
    assert _ten_seconds(waves).shape == _ten_seconds(waves, "start").shape == (1, _WINDOW)
    assert torch.equal(_ten_seconds(waves[:, :_WINDOW]), waves[:, :_WINDOW])
