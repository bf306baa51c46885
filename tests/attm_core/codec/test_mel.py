"""Log-mel spectrograms: by hand, against librosa, and their frame count."""

import math

import numpy as np
import pytest
import torch

from attm_core.codec.mel import (
    MEL_16K_MINI,
    MEL_44K,
    LogMel,
    MelConfig,
    mel_filterbank,
)
from attm_core.errors import InputError


@pytest.mark.parametrize("config", [MEL_16K_MINI, MEL_44K])
def test_filterbank_is_librosas(config: MelConfig) -> None:
    import librosa

    sizes = {"sr": config.sample_rate_hz, "n_fft": config.n_fft, "n_mels": config.n_mels}
    theirs = librosa.filters.mel(**sizes, fmin=config.f_min_hz, fmax=config.f_max_hz)
    assert np.abs(mel_filterbank(config).numpy() - theirs).max() < 1e-8


@pytest.mark.parametrize(("config", "n_samples"), [(MEL_16K_MINI, 65_536), (MEL_44K, 44_032)])
def test_samples_over_hop_frames(config: MelConfig, n_samples: int) -> None:
    mel = LogMel(config)(torch.zeros(2, n_samples))
    assert mel.shape == (2, config.n_mels, n_samples // config.hop)


def test_silence_is_the_floor() -> None:
    # Magnitude √1e-9 through a filter of gain far below one stays under the floor of 1e-5.
    mel = LogMel(MEL_16K_MINI)(torch.zeros(1, 4096))
    assert torch.allclose(mel, torch.tensor(math.log(1e-5)))


def test_sinusoid_peaks_in_its_band_with_hann_gain() -> None:
    # Bin 64 = 1 kHz exactly: a Hann window of 1024 gives a magnitude of amplitude · 1024 / 4.
    time = torch.arange(16_384) / 16_000
    mel = LogMel(MEL_16K_MINI)(0.5 * torch.sin(2 * math.pi * 1000 * time)[None])[0, :, 30].exp()
    filters = mel_filterbank(MEL_16K_MINI)
    line = torch.zeros(513)
    line[63:66] = torch.tensor([64.0, 128.0, 64.0])
    assert torch.allclose(mel, filters @ line, rtol=1e-3, atol=1e-3)


def test_loud_waves_are_clamped() -> None:
    wave = torch.sin(torch.arange(4096) * 0.3)[None]
    log_mel = LogMel(MEL_16K_MINI)
    assert torch.equal(log_mel(wave * 9), log_mel((wave * 9).clamp(-1, 1)))


def test_chunks_change_nothing() -> None:
    waves = torch.randn(5, 4096, generator=torch.Generator().manual_seed(0)) * 0.1
    log_mel = LogMel(MEL_16K_MINI)
    assert torch.equal(log_mel.in_chunks(waves, chunk=2), log_mel(waves))


def test_too_short_a_wave_is_refused() -> None:
    with pytest.raises(InputError, match="at least 385"):
        LogMel(MEL_16K_MINI)(torch.zeros(1, 384))
