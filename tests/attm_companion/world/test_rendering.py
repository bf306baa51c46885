import os
import subprocess
import sys

import librosa
import numpy as np
import pytest

from attm_companion.world.arrangement import ENSEMBLES, SINGERS, Line
from attm_companion.world.rendering import render
from attm_core.errors import RenderError

RATE = 16_000
PLAYERS = sorted({p for e in ENSEMBLES for p in e.players} | set(SINGERS), key=lambda p: p.program)
STRUCK = {0, 4, 6, 9, 10, 11, 12, 24, 25, 27, 32, 33, 35, 38, 46, 104, 105, 107}
FINE = 44_100
CHORDS = """
import hashlib, numpy as np
from attm_companion.world.arrangement import Line
from attm_companion.world.rendering import render
digest = hashlib.sha256()
for program in (-1, 0, 9, 21, 30, 40, 52, 65, 104):
    chord = np.array([[0.2 * i, 0.5, 40.0 + 5 * i] for i in range(5)])
    digest.update(render([Line(program, 0.0, chord)], 24_000, 16_000).tobytes())
print(digest.hexdigest())
"""


def _line(program: int, *rows: tuple[float, float, float], level_db: float = 0.0) -> Line:
    return Line(program, level_db, np.array(rows, dtype=float).reshape(-1, 3))


def test_a_note_starts_when_it_should() -> None:
    with pytest.raises(RenderError, match="no note"):
        render([_line(0)], RATE, RATE)
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
    once = render([_line(73, (0.5, 0.5, 72))], 4 * RATE, RATE)[RATE // 2 : RATE]
    always = render([_line(73, (0.0, 4.0, 72))], 4 * RATE, RATE)
    assert _rms_db(once) == pytest.approx(_rms_db(always), abs=2.0), "a sparse line stays soft"


def test_a_stronger_note_is_louder_and_no_offset_lies_under_the_sound() -> None:
    notes = np.array([[0.0, 0.5, 60, 0.5], [1.0, 0.5, 60, 1.0]])
    wave = render([Line(73, 0.0, notes)], 2 * RATE, RATE)
    soft, loud = wave[1_600:6_400], wave[RATE + 1_600 : RATE + 6_400]
    assert _rms_db(loud) - _rms_db(soft) == pytest.approx(20 * np.log10(2), abs=0.3)
    wave = render([_line(65, (0.0, 2.0, 60))], 2 * RATE, RATE)  # its samples have one
    assert abs(wave[3_200:28_800].mean()) < 0.01 * np.abs(wave).max()


def test_sound_does_not_depend_on_what_was_rendered_before() -> None:
    violin = [_line(40, *((0.3 * i, 0.3, 60.0 + i) for i in range(8)))]
    first = render(violin, 3 * RATE, RATE)
    for program in (110, 41, 54):
        render([_line(program, (0.0, 3.0, 62), (0.5, 2.0, 66))], 3 * RATE, RATE)
    np.testing.assert_array_equal(render(violin, 3 * RATE, RATE), first)


def _cents_off(wave: np.ndarray, key: int) -> tuple[float, float]:
    """Of a steady tone against ``key``: coarsely by its period, finely by its strongest partial."""
    wanted, sound = librosa.midi_to_hz(key), wave.astype(float)
    limits = {"fmin": wanted / 1.6, "fmax": 1.6 * wanted, "sr": FINE}
    frame = max(2048, 2 * int(1.7 * FINE / wanted))
    period_hz = np.median(librosa.yin(sound, frame_length=frame, hop_length=1024, **limits))
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 18))
    bin_hz = FINE / (1 << 18)
    peaks = []
    for partial in (1, 2, 3):
        low, high = (int(partial * wanted * 2 ** (c / 1200) / bin_hz) for c in (-100, 100))
        top = low + int(np.argmax(spectrum[low:high]))
        peaks.append((spectrum[top], 1200 * np.log2(top * bin_hz / (partial * wanted))))
    return float(1200 * np.log2(period_hz / wanted)), float(max(peaks)[1])


@pytest.mark.parametrize("player", PLAYERS, ids=lambda p: f"{p.program}-{p.low}")
def test_every_program_is_in_tune_over_its_range(player) -> None:
    for key in (player.low, (player.low + player.high) // 2, player.high):
        wave = render([_line(player.program, (0.0, 1.0, key))], FINE, FINE)
        coarse, fine = _cents_off(wave[FINE // 4 :], key)
        assert abs(coarse) < 50 and abs(fine) < 20, (player.word, key, coarse, fine)


@pytest.mark.parametrize(("program", "key"), [(22, 69), (65, 64), (67, 38), (81, 92)])
def test_what_the_soundfont_has_wrong_is_put_right(program, key) -> None:
    wave = render([_line(program, (0.0, 1.0, key))], FINE, FINE)
    assert np.abs(_cents_off(wave[FINE // 4 :], key)).max() < 20


def test_every_key_of_every_program_sounds() -> None:
    for player in PLAYERS:
        for key in range(player.low, player.high + 1):  # render says so if one is silent
            render([_line(player.program, (0.0, 0.05, key))], RATE // 20, RATE)


def _fall_db(program: int, until_s: float, note_s: float = 2.0) -> float:
    player = next(p for p in PLAYERS if p.program == program)
    key = (player.low + player.high) // 2
    wave = render([_line(program, (0.0, note_s, key))], 2 * RATE, RATE)
    early, late = (wave[int(t * RATE) :][: RATE // 10] for t in (0.1, until_s))
    return _rms_db(early) - _rms_db(late)


@pytest.mark.parametrize("program", sorted({p.program for p in PLAYERS}))
def test_plucked_and_struck_notes_die_away_and_bowed_and_blown_ones_are_held(program) -> None:
    fall_db = _fall_db(program, until_s=1.5)
    assert fall_db > 3.0 if program in STRUCK else abs(fall_db) < 8.0


@pytest.mark.parametrize("program", [0, 19, 40, 73])
def test_a_note_ends_with_a_tail_and_does_not_hang(program) -> None:
    assert _fall_db(program, until_s=1.05, note_s=1.0) < 40
    assert _fall_db(program, until_s=1.9, note_s=1.0) > 40


def test_notes_of_one_key_in_two_lines_end_each_at_its_time() -> None:
    lines = [_line(73, (0.0, 0.4, 72)), _line(73, (0.0, 1.6, 72)), _line(40, (0.0, 0.2, 60))]
    wave = render(lines, 2 * RATE, RATE)
    assert _rms_db(wave[int(1.4 * RATE) :][:1600]) > -30
    assert _rms_db(wave[int(1.9 * RATE) :][:1600]) < -60


def test_fresh_processes_give_the_same_bytes() -> None:
    def digest(perturbation: str) -> bytes:
        environment = {**os.environ, "MALLOC_PERTURB_": perturbation}
        command = [sys.executable, "-c", CHORDS]
        return subprocess.run(command, env=environment, check=True, capture_output=True).stdout

    assert digest("85") == digest("170")
