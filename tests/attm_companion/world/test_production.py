import numpy as np
import pytest

from attm_companion.world import production
from attm_companion.world.production import draw_faults, filter_response, produce, quality_of, rms
from attm_core.errors import InputError
from attm_core.randomness import numpy_generator

RATE = 16_000
N = 65_536
LEVEL = -21.0


def _music() -> tuple[np.ndarray, np.ndarray]:
    """White-noise instruments (all frequencies alike) and a sung 440 Hz tone."""
    noise = numpy_generator(1, "music").normal(size=N)
    tone = np.sin(2 * np.pi * 440 * np.arange(N) / RATE)
    return noise, 0.7 * tone


def _produce(**severities: float) -> production.Produced:
    return produce(*_music(), severities, (LEVEL, RATE), numpy_generator(2, "chain"))


def _band_db(wave: np.ndarray, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(wave)) ** 2
    frequency = np.fft.rfftfreq(len(wave), 1 / RATE)
    return float(10 * np.log10(power[(frequency >= low_hz) & (frequency < high_hz)].sum() + 1e-12))


def test_a_clean_clip_keeps_its_sound_and_takes_the_level() -> None:
    instrumental, vocals = _music()
    produced = _produce()
    assert 20 * np.log10(rms(produced.mix)) == pytest.approx(LEVEL, abs=1e-6)
    gain = rms(produced.mix) / rms(instrumental + vocals)
    np.testing.assert_allclose(produced.instrumental, gain * instrumental, atol=1e-12)
    np.testing.assert_allclose(produced.vocals, gain * vocals, atol=1e-12)


@pytest.mark.parametrize("fault", [fault for fault in production.FAULTS if fault != "clipping"])
def test_mix_is_instruments_and_voice_unless_overdriven(fault: str) -> None:
    produced = _produce(**{fault: 0.7})
    np.testing.assert_allclose(produced.mix - produced.instrumental, produced.vocals, atol=1e-9)


def test_filters_by_hand_and_in_a_clip() -> None:
    bins = 8_000  # of 1 Hz
    none = dict.fromkeys(production.FAULTS, 0.0)
    gains = {f: filter_response(2 * bins, RATE, {**none, f: 1.0}) for f in ("mud", "telephone")}
    gains["dull"] = filter_response(2 * bins, RATE, {**none, "dull": 0.4})
    decibels = {fault: 20 * np.log10(gain + 1e-12) for fault, gain in gains.items()}
    cutoff = round(6_000 * 0.15**0.4)
    assert decibels["dull"][[cutoff // 3, cutoff]] == pytest.approx([0.0, -3.0], abs=0.05)
    assert decibels["dull"][2 * cutoff] == pytest.approx(-24.0, abs=0.2)
    assert decibels["telephone"][[120, 1_000, 5_500]] == pytest.approx([-50, 0, -32], abs=1.0)
    assert decibels["mud"][[250, 4_000]] == pytest.approx([14.0, 0.0], abs=0.1)
    clean, dull = _produce().instrumental, _produce(dull=1.0).instrumental
    lost = [_band_db(clean, *band) - _band_db(dull, *band) for band in ((0, 300), (2_000, 8_000))]
    assert lost[1] > lost[0] + 24


def test_clipping_flattens_the_peaks_at_the_stated_level() -> None:
    produced = _produce(clipping=1.0)
    ceiling = 10 ** ((LEVEL + 9 - 10) / 20)
    assert np.abs(produced.mix).max() == pytest.approx(ceiling, rel=1e-6)
    assert np.mean(np.abs(produced.mix) > 0.999 * ceiling) > 0.2
    assert np.abs(_produce().mix).max() > 3 * ceiling
    loud = produce(*_music(), {"hiss": 1.0}, (-3.0, RATE), numpy_generator(6))
    assert np.abs(np.stack([loud.mix, loud.instrumental, loud.vocals])).max() <= 0.95 + 1e-12


def test_dropouts_make_holes_of_the_stated_depth() -> None:
    clean, holed = _produce().mix, _produce(dropouts=0.5).mix
    gain_db = 20 * np.log10(np.abs(holed / clean) + 1e-9)
    assert gain_db.min() == pytest.approx(-25, abs=0.1)
    assert 0.03 < np.mean(gain_db < -20) < 0.3


def test_mud_rings_on_after_the_sound() -> None:
    click = np.zeros(N)
    click[:160] = numpy_generator(4).normal(size=160)

    def after_db(**severities: float) -> float:
        wave = produce(click, np.zeros(N), severities, (-40.0, RATE), numpy_generator(5)).mix
        return 20 * np.log10(rms(wave[1_600:6_000]) / rms(wave[:160]) + 1e-9)

    assert after_db() < -60
    assert after_db(mud=1.0) > after_db(mud=0.2) + 6 > -60


def test_quality_by_hand_and_of_curated_clips() -> None:
    assert quality_of({}) == 1.0
    for fault in production.FAULTS:
        falling = [quality_of({fault: severity}) for severity in (1.0, 0.7, 0.3, 0.0)]
        assert falling == sorted(falling) and 0 <= falling[0] < falling[-1] <= 1
    assert quality_of({"hiss": 1.0, "dull": 0.2}) == pytest.approx(0.4 * (1 - 0.55 * 0.2))
    ordinary, curated = (
        np.mean([quality_of(draw_faults(chosen, numpy_generator(8, i))) for i in range(300)])
        for chosen in (False, True)
    )
    assert 0.4 < ordinary < 0.65 < 0.9 < curated


@pytest.mark.parametrize(("fault", "floor_db", "range_db"), [("hiss", -36, 26), ("hum", -30, 24)])
@pytest.mark.parametrize("severity", [0.0001, 0.5, 1.0])
def test_background_has_the_stated_level(fault, floor_db, range_db, severity) -> None:
    noise = _produce(**{fault: severity}).mix - _produce().mix
    level_db = 20 * np.log10(rms(noise)) - LEVEL
    assert level_db == pytest.approx(floor_db + range_db * severity, abs=0.2)
    harmonics = sum(10 ** (_band_db(noise, 50 * k - 4, 50 * k + 4) / 10) for k in range(1, 7))
    assert (harmonics > 0.98 * 10 ** (_band_db(noise, 0, 8_000) / 10)) == (fault == "hum")


def test_bad_severities_and_silence_are_refused() -> None:
    with pytest.raises(InputError, match="no fault"):
        quality_of({"flutter": 0.1})
    with pytest.raises(InputError, match="no fault"):
        quality_of({"mud": float("nan")})
    with pytest.raises(InputError, match="silent"):
        produce(np.zeros(N), np.zeros(N), {}, (LEVEL, RATE), numpy_generator(7))
