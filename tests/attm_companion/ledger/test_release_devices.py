import numpy as np
import pytest
from scipy.signal import butter, lfilter, sosfilt

from attm_companion.ledger.release import clips, noise_sharing
from attm_core.errors import InputError
from attm_core.randomness import numpy_generator

RATE = 44100


def noise(seconds: float, *name: object, level: float = 0.1) -> np.ndarray:
    generator = numpy_generator(7, "devices", *map(str, name))
    return level * generator.standard_normal(round(seconds * RATE))


def test_trailing_zeros_of_padded_clip_and_of_silence():
    padded = np.concatenate([np.ones(440320), np.zeros(680)])
    found = [clips.trailing_zeros(wave) for wave in (padded, np.zeros(100), np.ones(3))]
    assert found == [680, 100, 0]


def test_nyquist_line_of_a_known_alternation():
    """White noise of variance σ² has density 2σ²/rate; an alternation ±a adds its own line."""
    base = noise(10.0, "nyquist", level=1e-4)
    flat = clips.nyquist_line_db(*clips.power_spectrum(base, RATE))
    assert abs(flat) < 6
    line = base + 0.01 * (-1.0) ** np.arange(len(base))
    found = clips.nyquist_line_db(*clips.power_spectrum(line, RATE))
    # Welch's Hann window puts a² · Σw²-normalised power into the top bin: a²·(Σw)²/(rate·Σw²).
    window = np.hanning(clips.N_FFT + 1)[:-1]
    density = 1e-4 * window.sum() ** 2 / (RATE * (window**2).sum())
    expected = 10 * np.log10(density / (2 * 1e-8 / RATE))
    assert found == pytest.approx(expected, abs=1.0)


def test_bandwidth_of_low_passed_noise():
    filtered = sosfilt(butter(20, 8000, fs=RATE, output="sos"), noise(5.0, "band"))
    found = clips.bandwidth_hz(*clips.power_spectrum(filtered, RATE))
    assert 8000 < found < 12500


@pytest.fixture(scope="module")
def details() -> dict[tuple[str, int], np.ndarray]:
    """Two systems that share noise at shift −2 (bases 40 and 42), each with its own colour."""
    waves = {}
    for system, base, colour in (("a", 40, 0.3), ("b", 42, 0.6)):
        for index in range(8):
            shared = noise(1.5, "seed", base + index)
            own = noise(1.5, system, index, level=0.05)
            wave = lfilter([1], [1, -colour], shared + own)
            waves[system, index] = noise_sharing.fine_detail(wave, RATE)
    return waves


def test_shared_noise_is_found_at_its_shift(details):
    found = noise_sharing.summarize(details, ("a", "b", "absent"), numpy_generator(0, "test"))
    same = found["between"]["a_b"]
    assert (same["best_lag"], same["best_lag_pairs"]) == (-2, 6)
    assert same["profile"]["-2"] == same["best_lag_mean"] > 0.5
    assert same["best_lag_z"] > 6
    assert same["p"] > 0.05
    assert abs(same["same_prompt_mean"]) < 0.1
    assert abs(found["within_other_prompts"]["a"]) < 0.1


def test_same_seeds_share_noise_prompt_by_prompt(details):
    shifted = {
        (system, index + (2 if system == "b" else 0)): detail
        for (system, index), detail in details.items()
    }
    summary = noise_sharing.summarize(shifted, ("a", "b", "absent"), numpy_generator(0, "test"))
    pair = summary["between"]["a_b"]
    assert pair["n"] == 6
    assert pair["p"] < 0.01
    assert pair["same_prompt_mean"] > 0.3
    assert set(summary["within_other_prompts"]) == {"a", "b"}


def test_noise_of_unequal_or_too_few_clips_is_refused(details):
    with pytest.raises(InputError, match="one length"):
        noise_sharing.correlation_matrix([np.ones(3), np.ones(4)])
    with pytest.raises(InputError, match="fewer than one window"):
        clips.power_spectrum(np.zeros(100), RATE)
    with pytest.raises(InputError, match="too few to compare"):
        noise_sharing.fine_detail(np.zeros(1000), RATE)
    one = {key: detail for key, detail in details.items() if key[1] == 0 or key == ("a", 1)}
    assert noise_sharing.summarize(one, ("a", "b"), numpy_generator(0, "x"))["between"] == {}
    assert noise_sharing.best_lag({0: [0.1]})["best_lag_pairs"] == 0
