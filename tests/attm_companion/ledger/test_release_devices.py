import numpy as np
import pytest

from attm_companion.ledger.release import devices
from attm_companion.ledger.release.noise_sharing import (
    best_lag,
    correlation_matrix,
    correlations_by_lag,
    fine_detail,
    same_prompt_excess,
    summarize,
    within_system,
)
from attm_core.errors import InputError
from attm_core.randomness import numpy_generator

RATE = 44100


def noise(seconds: float, *name: object, level: float = 0.1) -> np.ndarray:
    generator = numpy_generator(7, "devices", *map(str, name))
    return level * generator.standard_normal(round(seconds * RATE))


def test_full_scale_counts_only_the_extreme_16_bit_values():
    wave = np.array([0.0, 32767 / 32768, -1.0, 32766 / 32768, 0.5])
    assert devices.full_scale_samples(wave) == 2


def test_trailing_zeros_of_padded_clip_and_of_silence():
    padded = np.concatenate([np.ones(440320), np.zeros(680)])
    assert devices.trailing_zeros(padded) == 680
    assert devices.trailing_zeros(np.zeros(100)) == 100
    assert devices.trailing_zeros(np.ones(3)) == 0


def test_nyquist_line_of_a_known_alternation():
    """White noise of variance σ² has density 2σ²/rate; an alternation ±a adds its own line."""
    base = noise(10.0, "nyquist", level=1e-4)
    flat = devices.nyquist_line_db(devices.power_spectrum(base, RATE))
    assert abs(flat) < 6
    line = base + 0.01 * (-1.0) ** np.arange(len(base))
    found = devices.nyquist_line_db(devices.power_spectrum(line, RATE))
    # Welch's Hann window puts a² · Σw²-normalised power into the top bin: a²·(Σw)²/(rate·Σw²).
    window = np.hanning(devices.N_FFT + 1)[:-1]
    density = 1e-4 * window.sum() ** 2 / (RATE * (window**2).sum())
    expected = 10 * np.log10(density / (2 * 1e-8 / RATE))
    assert found == pytest.approx(expected, abs=1.0)


def test_band_level_of_white_noise_and_missing_band():
    spectrum = devices.power_spectrum(noise(10.0, "white", level=0.01), RATE)
    expected = 10 * np.log10(2 * 1e-4 / RATE)
    assert spectrum.band_level_db(2000, 20000) == pytest.approx(expected, abs=0.3)
    with pytest.raises(InputError, match="no spectral line"):
        spectrum.band_level_db(30000, 40000)
    with pytest.raises(InputError, match="fewer than one window"):
        devices.power_spectrum(np.zeros(100), RATE)


def test_bandwidth_of_low_passed_noise():
    from scipy.signal import butter, sosfilt

    filtered = sosfilt(butter(20, 8000, fs=RATE, output="sos"), noise(5.0, "band"))
    found = devices.bandwidth_hz(devices.power_spectrum(filtered, RATE))
    assert 8000 < found < 12500


def test_decibel_floor():
    assert devices.decibel(1.0) == 0.0
    assert devices.decibel(0.5) == pytest.approx(-6.0206, abs=1e-4)
    assert devices.decibel(0.0) == devices.FLOOR_DB


@pytest.fixture(scope="module")
def details() -> dict[tuple[str, int], np.ndarray]:
    """Two systems that share noise at shift −2 (bases 40 and 42), each with its own colour."""
    from scipy.signal import lfilter

    waves = {}
    for system, base, colour in (("a", 40, 0.3), ("b", 42, 0.6)):
        for index in range(8):
            shared = noise(1.5, "seed", base + index)
            own = noise(1.5, system, index, level=0.05)
            waves[system, index] = fine_detail(lfilter([1], [1, -colour], shared + own), RATE)
    return waves


def test_shared_noise_is_found_at_its_shift(details):
    keys = list(details)
    matrix = correlation_matrix(list(details.values()))
    found = best_lag(correlations_by_lag(matrix, keys, "a", "b"))
    assert found["best_lag"] == -2
    assert found["best_lag_pairs"] == 6
    assert found["best_lag_mean"] > 0.5
    assert found["best_lag_z"] > 6
    same = same_prompt_excess(matrix, keys, "a", "b", numpy_generator(0, "test"))
    assert same["p"] > 0.05
    assert abs(same["same_prompt_mean"]) < 0.1
    assert abs(within_system(matrix, keys, "a")) < 0.1


def test_same_seeds_share_noise_prompt_by_prompt(details):
    shifted = {
        (system, index + (2 if system == "b" else 0)): detail
        for (system, index), detail in details.items()
    }
    summary = summarize(shifted, ("a", "b", "absent"), numpy_generator(0, "test"))
    pair = summary["between"]["a_b"]
    assert pair["n"] == 6
    assert pair["p"] < 0.01
    assert pair["same_prompt_mean"] > 0.3
    assert set(summary["within_other_prompts"]) == {"a", "b"}


def test_noise_of_unequal_or_too_few_clips_is_refused(details):
    with pytest.raises(InputError, match="one length"):
        correlation_matrix([np.ones(3), np.ones(4)])
    with pytest.raises(InputError, match="too few to compare"):
        fine_detail(np.zeros(1000), RATE)
    with pytest.raises(InputError, match="fewer than two prompts"):
        same_prompt_excess(np.eye(2), [("a", 0), ("b", 1)], "a", "b", numpy_generator(0, "x"))
    assert best_lag({0: [0.1]})["best_lag_pairs"] == 0


def test_loudness_and_true_peak_of_a_calibration_tone():
    """997 Hz at 0 dBFS is −3.01 LUFS by the standard; a quarter-rate tone peaks between samples."""
    import torch

    from attm_core.generation.loudness import integrated_loudness, true_peak

    t = torch.arange(10 * RATE, dtype=torch.float64) / RATE
    tone = torch.sin(2 * torch.pi * 997 * t).float()[None]
    assert integrated_loudness(tone, RATE) == pytest.approx(-3.01, abs=0.05)
    phase = torch.pi / 2 * torch.arange(RATE, dtype=torch.float64) + torch.pi / 4
    quarter = 0.5 * torch.sin(phase).float()[None]
    assert float(quarter.abs().max()) == pytest.approx(0.5 / 2**0.5, abs=1e-3)
    assert true_peak(quarter[:, 1000:-1000]) == pytest.approx(0.5, rel=0.03)
