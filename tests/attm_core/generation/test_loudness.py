import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample

from attm_core.errors import ConfigError, InputError
from attm_core.generation import loudness

RATE = 48000
NOISE = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))


def tone(frequency_hz: float, amplitude: float, phase=0.0, rate=RATE) -> torch.Tensor:
    n = torch.arange(rate, dtype=torch.float64)
    return (amplitude * torch.sin(2 * math.pi * frequency_hz / rate * n + phase)).float()[None]


def test_loudness_of_the_standards_tone() -> None:
    # BS.1770-4: a 997-Hz sine at 0 dBFS in one front channel reads −3.01 LKFS.
    wave = tone(997, 1.0)
    assert loudness.integrated_loudness(wave, RATE) == pytest.approx(-3.01, abs=0.05)
    alone = loudness.integrated_loudness(0.1 * wave, RATE)
    assert alone == pytest.approx(-23.01, abs=0.05)
    assert loudness.integrated_loudness(0.1 * wave.repeat(2, 1), RATE) == pytest.approx(
        alone + 3.01, abs=0.01
    )


@pytest.mark.parametrize("frequency_hz", [500, 2500, 6000])
def test_loudness_does_not_depend_on_the_rate(frequency_hz: float) -> None:
    low, high = (tone(frequency_hz, 0.1, rate=rate) for rate in (16000, RATE))
    assert loudness.integrated_loudness(low, 16000) == pytest.approx(
        loudness.integrated_loudness(high, RATE), abs=0.01
    )


@pytest.mark.parametrize("share_of_rate", [0.01, 0.11, 0.25, 0.31, 0.4, 0.45])
@pytest.mark.parametrize("phase", [0.0, 0.3, 1.2])
def test_true_peak_of_tones(share_of_rate: float, phase: float) -> None:
    wave = tone(share_of_rate * RATE, 0.5, phase) * torch.hann_window(RATE)
    assert loudness.to_db(loudness.true_peak(wave)) == pytest.approx(loudness.to_db(0.5), abs=0.025)


def test_true_peak_is_never_below_the_sample_peak_and_scales() -> None:
    wave = 0.1 * NOISE
    assert loudness.true_peak(wave) >= float(wave.abs().max())
    assert loudness.true_peak(3 * wave) == pytest.approx(3 * loudness.true_peak(wave), rel=1e-5)
    assert loudness.true_peak(torch.tensor([[-0.7]])) == pytest.approx(0.7)
    assert loudness.true_peak(torch.zeros(2, 10)) == 0.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.001, 1.0), st.floats(0.0, 0.95))
def test_ceiling_holds_for_any_signal(seed: int, level: float, smoothing: float) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.laplace(size=8192) * (rng.random(8192) < 0.05)  # sparse clicks: high crest factor
    spectrum = np.fft.rfft(raw)
    spectrum *= 1 - smoothing * np.linspace(0, 1, spectrum.size)
    wave = torch.from_numpy(level * np.fft.irfft(spectrum)).float()[None]
    scaled, report = loudness.normalize_loudness(wave, 16000)
    fine = resample(np.pad(scaled[0].numpy().astype(np.float64), 512), 32 * (8192 + 1024))
    assert loudness.to_db(float(np.abs(fine).max())) <= -1.0
    assert report.after_dbtp <= -1.0
    if report.outcome == "normalized":
        assert report.after_lufs == pytest.approx(-16.5, abs=0.05)
    else:
        assert report.after_lufs < -16.5


def test_target_is_met_when_there_is_room() -> None:
    scaled, report = loudness.normalize_loudness(tone(997, 0.02), RATE)
    assert loudness.normalize_loudness(scaled, RATE)[1].gain_db == pytest.approx(0.0, abs=0.02)
    assert report.outcome == "normalized"
    assert loudness.integrated_loudness(scaled, RATE) == pytest.approx(-16.5, abs=0.01)
    assert "normalized" in report.describe()


def test_loudness_gives_way_to_the_ceiling_by_hand() -> None:
    # One full-scale click on a quiet tone: the peak (0 dBTP) allows −1.1 dB, loudness wants more.
    wave = tone(997, 0.01)
    wave[0, RATE // 2] = 1.0
    scaled, report = loudness.normalize_loudness(wave, RATE)
    assert report.outcome == "ceiling"
    assert report.gain_db == pytest.approx(-1.1, abs=0.02)
    torch.testing.assert_close(scaled, wave * 10 ** (report.gain_db / 20))


@pytest.mark.parametrize("level", [0.0, 1e-6])
def test_silence_is_left_alone(level: float) -> None:
    wave = level * NOISE
    scaled, report = loudness.normalize_loudness(wave, 16000)
    assert report.outcome == "silent"
    assert report.gain_db == 0.0
    assert torch.equal(scaled, wave)


def test_released_variant_looks_at_samples() -> None:
    loud = tone(RATE / 4, 0.05, math.pi / 4) * torch.hann_window(RATE)
    loud[0, 7] = 0.9
    scaled, report = loudness.normalize_loudness(loud, RATE, variant="as_released")
    assert float(scaled.abs().max()) == pytest.approx(0.95)
    assert report.outcome == "ceiling"
    quiet = tone(RATE / 4, 0.05, math.pi / 4)
    _, free = loudness.normalize_loudness(quiet, RATE, target_lufs=-0.5, variant="as_released")
    assert free.outcome == "normalized"
    assert free.after_dbtp > -1.0  # what a sample peak does not see


def test_bad_audio_is_refused() -> None:
    with pytest.raises(InputError, match=r"at least 0.4 s"):
        loudness.normalize_loudness(torch.ones(1, 1), RATE)
    with pytest.raises(InputError, match="up to 5 channels"):
        loudness.integrated_loudness(torch.zeros(6, RATE), RATE)
    with pytest.raises(InputError, match="NaN"):
        loudness.normalize_loudness(torch.full((1, RATE), torch.nan), RATE)
    with pytest.raises(ConfigError, match="variant 'loud'"):
        loudness.normalize_loudness(tone(997, 0.1), RATE, variant="loud")
