import numpy as np
import pytest

from attm_companion.world.arrangement import Line
from attm_companion.world.rendering import render, soundfont_path
from attm_core.errors import RenderError

RATE = 16_000


def _line(program: int, *rows: tuple[float, float, float], level_db: float = 0.0) -> Line:
    return Line(program, level_db, np.array(rows, dtype=float).reshape(-1, 3))


def _peak_hz(wave: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(np.argmax(spectrum) * RATE / len(wave))


def test_the_soundfont_is_real() -> None:
    head = soundfont_path().read_bytes()[:12]
    assert head[:4] == b"RIFF" and head[8:] == b"sfbk"


def test_a_flute_plays_the_pitch_that_is_written() -> None:
    wave = render([_line(73, (0.0, 2.0, 81))], 2 * RATE, RATE)
    assert wave.shape == (2 * RATE,) and wave.dtype == np.float32
    assert _peak_hz(wave[4_000:28_000]) == pytest.approx(880.0, rel=0.01)


def test_a_note_starts_when_it_should() -> None:
    wave = render([_line(0, (1.0, 0.5, 60))], 2 * RATE, RATE)
    before, after = np.abs(wave[: int(0.98 * RATE)]).max(), np.abs(wave[RATE : RATE + 1600]).max()
    assert before < 0.01 * after


def _rms_db(wave: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(wave**2))))


def test_programs_are_balanced_by_their_level() -> None:
    held = (0.0, 2.0, 60.0)  # a violin is 8 dB louder than a trumpet in the SoundFont itself
    violin, trumpet = (render([_line(p, held)], 2 * RATE, RATE) for p in (40, 56))
    assert _rms_db(violin) == pytest.approx(-20.0, abs=1.5)
    assert _rms_db(trumpet) == pytest.approx(-20.0, abs=1.5)
    softer = render([_line(40, held, level_db=-6.0)], 2 * RATE, RATE)
    np.testing.assert_allclose(softer, 10 ** (-6 / 20) * violin, atol=1e-5)


def test_a_sparse_line_is_not_blown_up() -> None:
    once = render([_line(73, (0.5, 0.5, 72))], 4 * RATE, RATE)[RATE // 2 : RATE]
    always = render([_line(73, (0.0, 4.0, 72))], 4 * RATE, RATE)
    assert _rms_db(once) == pytest.approx(_rms_db(always), abs=2.0)


def test_a_mix_is_the_sum_of_its_programs() -> None:
    flute, harp = _line(73, (0.0, 1.0, 72)), _line(46, (0.2, 0.8, 60))
    together = render([flute, harp], RATE, RATE)
    alone = render([flute], RATE, RATE) + render([harp], RATE, RATE)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_drums_are_not_the_piano() -> None:
    hits = tuple((0.25 * i, 0.1, 38.0) for i in range(4))
    drums, piano = render([_line(-1, *hits)], RATE, RATE), render([_line(0, *hits)], RATE, RATE)
    assert np.abs(np.corrcoef(drums, piano)[0, 1]) < 0.5


def test_sound_does_not_depend_on_what_was_rendered_before() -> None:
    violin = [_line(40, *((0.3 * i, 0.3, 60.0 + i) for i in range(8)))]
    first = render(violin, 3 * RATE, RATE)
    for program in (110, 41, 54):
        render([_line(program, (0.0, 3.0, 62), (0.5, 2.0, 66))], 3 * RATE, RATE)
    np.testing.assert_array_equal(render(violin, 3 * RATE, RATE), first)


def test_nothing_to_play() -> None:
    with pytest.raises(RenderError, match="no note"):
        render([_line(0)], RATE, RATE)


def test_silence_is_an_error() -> None:
    with pytest.raises(RenderError, match="silence"):
        render([_line(0, (5.0, 1.0, 60))], RATE, RATE)  # it starts after the end
