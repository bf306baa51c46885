"""Chords, bass and drums for scores that are a single line, such as fiddle tunes."""

import numpy as np

from attm_companion.arrays import Array
from attm_core.errors import InputError

Notes = Array

# Triads by mode as semitones above the tonic; earlier ones win ties, so the tonic is home.
TRIADS = {
    "major": ((0, 4, 7), (7, 11, 14), (5, 9, 12), (9, 12, 16), (2, 5, 9)),
    "minor": ((0, 3, 7), (7, 11, 14), (5, 8, 12), (8, 12, 15), (10, 14, 17)),
}
CHORD_BEATS = 2
CHORD_ROOT = 48  # chords from C3 up
BASS_ROOT = 36
PATTERNS = ("held", "oom-pah", "broken")

# General MIDI drum notes and their places in a bar of two beats, in beats.
_KICK, _SNARE, _HAT, _RIDE = 36, 38, 42, 51
DRUMS = {
    "rock": ((_KICK, (0.0,)), (_SNARE, (1.0,)), (_HAT, (0.0, 0.5, 1.0, 1.5))),
    "swing": ((_RIDE, (0.0, 1.0, 1.67)), (_HAT, (1.0,))),
    "dance": ((_KICK, (0.0, 1.0)), (_HAT, (0.5, 1.5)), (_SNARE, (1.0,))),
}


def accompany(
    melody: Notes,
    tonic: int,
    mode: str,
    duration_s: float,
    playing: tuple[float, np.random.Generator],
) -> list[Notes]:
    """[chords, bass] that fit a melody, each (n, 3): start s, duration s, pitch.

    ``tonic`` is the pitch class of the key, ``mode`` ``"major"`` or ``"minor"``; ``playing`` is the
    length of a beat in seconds and the source of the choice of pattern.
    """
    beat_s, generator = playing
    pattern = str(generator.choice(PATTERNS))
    chords, bass = [], []
    step = CHORD_BEATS * beat_s
    for start in np.arange(0.0, duration_s - 0.05, step):
        length = min(step, duration_s - start)
        triad = best_triad(melody, tonic, mode, (start, start + length))
        bass.append([start, 0.9 * length, BASS_ROOT + (tonic + triad[0]) % 12])
        pitches = [CHORD_ROOT + tonic + interval for interval in triad]
        chords += _strum(pattern, pitches, start, beat_s)
    inside = [note for note in chords if note[0] < duration_s - 0.05]
    return [np.array(inside), np.array(bass)]


def best_triad(
    melody: Notes, tonic: int, mode: str, window_s: tuple[float, float]
) -> tuple[int, ...]:
    """The triad of the key that holds most of the melody's sounding time in a window."""
    begin, end = window_s
    sounding = np.minimum(melody[:, 0] + melody[:, 1], end) - np.maximum(melody[:, 0], begin)
    weight = np.maximum(sounding, 0.0)
    degree = (melody[:, 2].astype(int) - tonic) % 12
    time_on = np.bincount(degree, weights=weight, minlength=12)
    return max(TRIADS[mode], key=lambda triad: sum(time_on[i % 12] for i in triad))


def _strum(pattern: str, pitches: list[int], start: float, beat_s: float) -> list[list[float]]:
    """Notes of one chord of two beats."""
    if pattern == "held":
        return [[start, 1.9 * beat_s, pitch] for pitch in pitches]
    if pattern == "oom-pah":
        return [[start + beat_s * b, 0.4 * beat_s, pitch] for b in (0.5, 1.5) for pitch in pitches]
    order = (0, 1, 2, 1)
    return [[start + 0.5 * beat_s * i, 0.5 * beat_s, pitches[j]] for i, j in enumerate(order)]


def drum_pattern(name: str, duration_s: float, beat_s: float) -> Notes:
    """Drum hits (n, 3) for a duration; raises ``InputError`` for an unknown pattern."""
    if name not in DRUMS:
        raise InputError(f"unknown drum pattern {name!r}; choose from {sorted(DRUMS)}")
    bars = np.arange(0.0, duration_s, 2 * beat_s)
    hits = [
        [bar + beat * beat_s, 0.1, drum]
        for bar in bars
        for drum, beats in DRUMS[name]
        for beat in beats
        if bar + beat * beat_s < duration_s - 0.02
    ]
    return np.array(sorted(hits))
