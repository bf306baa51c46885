"""Arrangements to sound: symusic's synthesizer with the SoundFont inside pretty_midi."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attm_companion.world.arrangement import Line
from attm_core.errors import RenderError

SOUNDFONT = "TimGM6mb.sf2"
OVERSAMPLING = 2  # the synthesizer interpolates linearly: what aliases lies above what is kept
REFERENCE_RMS = 0.1  # of a line at 0 dB while it sounds
MIN_LEVEL = 1e-4  # of the synthesizer's output that counts as sound
VELOCITY = 100  # symusic 0.5.9 plays all velocities alike
TICKS_PER_SECOND = 960  # 480 ticks a quarter note at 120 quarter notes a minute


def soundfont_path() -> Path:
    """The SoundFont inside the installed pretty_midi package.

    Raises:
        RenderError: it is not there.
    """
    spec = find_spec("pretty_midi")
    path = Path(spec.origin or "").parent / SOUNDFONT if spec is not None else Path(SOUNDFONT)
    if not path.is_file():
        raise RenderError(f"{SOUNDFONT} is not in pretty_midi; install the project's environment")
    return path


def _synthesizer(sample_rate_hz: int) -> Any:
    """A new synthesizer (2 ms): a used one sounds different, by what it has played before."""
    from symusic import Synthesizer

    return Synthesizer(str(soundfont_path()), sample_rate_hz, 0)


def render(lines: Sequence[Line], n_samples: int, sample_rate_hz: int) -> NDArray[np.float32]:
    """Sound of some lines, (S,); peaks may exceed 1.

    The synthesizer gives every note its program's own strength, whatever the velocity, and
    programs differ by 14 dB; so each program is rendered alone and mixed at its lines' level.

    Raises:
        RenderError: nothing to play, or the synthesizer returns silence or broken samples.
    """
    by_program: dict[int, list[Line]] = {}
    for line in lines:
        if len(line.notes):
            by_program.setdefault(line.program, []).append(line)
    if not by_program:
        raise RenderError("there is no note to render")
    mix = np.zeros(OVERSAMPLING * n_samples, dtype=np.float32)
    for group in by_program.values():
        wave = _render_program(group, OVERSAMPLING * sample_rate_hz)[: len(mix)]
        mix[: len(wave)] += wave
    if not float(np.abs(mix).max()) > 0:
        raise RenderError("the synthesizer returned silence")
    return _decimate(mix, n_samples)


def _render_program(lines: Sequence[Line], rate: int) -> NDArray[np.float32]:
    """One program's lines at the level of their powers together; silence stays silence.

    Raises:
        RenderError: samples that are not finite.
    """
    raw = np.asarray(_synthesizer(rate).render(_to_score(lines), stereo=False))
    wave: NDArray[np.float32] = raw[0]
    level = _sounding_rms(wave, rate)
    if not np.isfinite(level):
        raise RenderError("the synthesizer returned samples that are not finite")
    wanted = REFERENCE_RMS * float(np.sqrt(sum(10 ** (line.level_db / 10) for line in lines)))
    return wave * np.float32(wanted / level) if level > MIN_LEVEL else np.zeros_like(wave)


def _sounding_rms(wave: NDArray[np.float32], rate: int) -> float:
    """RMS of the twentieths of a second that sound, so that a sparse line is not blown up."""
    frame = rate // 20
    frames = np.pad(wave, (0, -len(wave) % frame)).reshape(-1, frame)
    power = np.mean(np.square(frames), axis=1)
    return float(np.sqrt(np.mean(power[power >= 0.1 * power.max()])))


def _to_score(lines: Sequence[Line]) -> Any:
    from symusic import Note, Score, Tempo, Track

    score = Score(480)
    score.tempos.append(Tempo(0, 120.0))
    for line in lines:
        drums = line.program < 0
        track = Track(program=0 if drums else line.program, is_drum=drums)
        ticks = np.rint(line.notes[:, :2] * TICKS_PER_SECOND).astype(int)
        for (start, length), pitch in zip(ticks.tolist(), line.notes[:, 2].tolist(), strict=True):
            track.notes.append(Note(start, max(length, 10), int(pitch), VELOCITY))
        score.tracks.append(track)
    return score


def _decimate(wave: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
    """Cut or pad to the length, then keep the lower half of the spectrum."""
    from scipy.fft import irfft, rfft

    length = OVERSAMPLING * n_samples
    padded = np.zeros(length, dtype=np.float32)
    padded[: min(length, len(wave))] = wave[:length]
    spectrum = rfft(padded)[: n_samples // 2 + 1]
    kept: NDArray[np.float32] = irfft(spectrum, n_samples) / np.float32(OVERSAMPLING)
    return kept
