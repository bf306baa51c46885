import math

import numpy as np
import pytest
import torch

from attm_core.codec.mel import MEL_16K_MINI, MEL_44K, LogMel, MelConfig, mel_filterbank
from attm_core.errors import InputError


@pytest.mark.parametrize("config", [MEL_16K_MINI, MEL_44K])
def test_filterbank_is_librosas(config: MelConfig) -> None:
    import librosa

    sizes = {"sr": config.sample_rate_hz, "n_fft": config.n_fft, "n_mels": config.n_mels}
    theirs = librosa.filters.mel(**sizes, fmin=config.f_min_hz, fmax=config.f_max_hz)
    assert np.abs(mel_filterbank(config).numpy() - theirs).max() < 1e-8


@pytest.mark.parametrize(("config", "n_samples"), [(MEL_16K_MINI, 65_536), (MEL_44K, 44_032)])
def test_silence_is_the_floor_in_samples_over_hop_frames(config, n_samples):
    # Magnitude √1e-9 through a filter of gain far below one stays under the floor of 1e-5.
    mel = LogMel(config)(torch.zeros(2, n_samples))
    assert mel.shape == (2, config.n_mels, n_samples // config.hop)
    assert torch.allclose(mel, torch.tensor(math.log(1e-5)))


def test_sinusoid_peaks_in_its_band_with_hann_gain() -> None:
    # Bin 64 = 1 kHz exactly: a Hann window of 1024 gives a magnitude of amplitude · 1024 / 4.
    time = torch.arange(16_384) / 16_000
    mel = LogMel(MEL_16K_MINI)(0.5 * torch.sin(2 * math.pi * 1000 * time)[None])[0, :, 30].exp()
    filters = mel_filterbank(MEL_16K_MINI)
    line = torch.zeros(513)
    line[63:66] = torch.tensor([64.0, 128.0, 64.0])
    assert torch.allclose(mel, filters @ line, rtol=1e-3, atol=1e-3)


def test_loud_waves_are_clamped_and_chunks_change_nothing() -> None:
    waves, log_mel = torch.randn(5, 4096), LogMel(MEL_16K_MINI)
    assert torch.equal(log_mel(waves), log_mel(waves.clamp(-1, 1)))
    assert torch.equal(log_mel.in_chunks(waves, chunk=2), log_mel(waves))
    with pytest.raises(InputError, match="at least 385"):
        log_mel(torch.zeros(1, 384))
