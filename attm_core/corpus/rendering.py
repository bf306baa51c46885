"""Arrangements to sound: symusic's synthesizer with the SoundFont inside pretty_midi."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attm_core.corpus.arrangement import Line
from attm_core.errors import RenderError

SOUNDFONT = "TimGM6mb.sf2"
OVERSAMPLING = 2  # the synthesizer interpolates linearly: what aliases lies above what is kept
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
    """Sound of some lines, (S,), at the synthesizer's own level (peaks may exceed 1).

    Raises:
        RenderError: nothing to play, or the synthesizer returns silence or broken samples.
    """
    if not any(len(line.notes) for line in lines):
        raise RenderError("there is no note to render")
    raw = np.asarray(
        _synthesizer(OVERSAMPLING * sample_rate_hz).render(_to_score(lines), stereo=False)
    )
    wave = _decimate(raw[0], n_samples)
    if not np.isfinite(wave).all():
        raise RenderError("the synthesizer returned samples that are not finite")
    if float(np.abs(wave).max()) < 1e-4:
        raise RenderError("the synthesizer returned silence")
    return wave


def _to_score(lines: Sequence[Line]) -> Any:
    from symusic import Note, Score, Tempo, Track

    score = Score(480)
    score.tempos.append(Tempo(0, 120.0))
    for line in lines:
        drums = line.program < 0
        track = Track(program=0 if drums else line.program, is_drum=drums)
        ticks = np.rint(line.notes[:, :2] * TICKS_PER_SECOND).astype(int)
        for (start, length), pitch in zip(ticks.tolist(), line.notes[:, 2].tolist(), strict=True):
            track.notes.append(Note(start, max(length, 10), int(pitch), line.velocity))
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
