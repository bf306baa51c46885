"""Arrangements to sound: TinySoundFont with the SoundFont inside pretty_midi."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from tinysoundfont import _tinysoundfont

from attm_companion.assets import package_folder
from attm_companion.world.arrangement import Line
from attm_core.errors import RenderError

SOUNDFONT = "TimGM6mb.sf2"
OVERSAMPLING = 4  # the synthesizer interpolates linearly: what aliases lies above what is kept
LOWEST_HZ = 20.0  # below lie only the samples' offsets, 4 dB under the whole of an alto saxophone
REFERENCE_RMS = 0.1  # of a line at 0 dB while it sounds
MIN_LEVEL = 1e-4  # of the synthesizer's output that counts as sound
VELOCITY = 0.8  # of 1, of notes that bring none; it sets a note's gain (and rarely its sample)
MIN_NOTE_S = 0.01
DRUM_PRESET = 0
MAX_VOICES = 256  # beyond, the oldest voices are cut off
# What the SoundFont has wrong, measured: program → keys, steps that the key moves, semitones added.
RETUNED = {
    9: (range(96, 104), 0, -0.12),  # glockenspiel
    22: (range(65, 74), 0, 0.31),  # harmonica
    65: (range(64, 65), 1, -1.0),  # alto saxophone: this key is silent
    67: (range(36, 41), 0, -0.22),  # baritone saxophone
    81: (range(91, 94), 0, 0.79),  # synth lead
}
NO_CORRECTION = (range(0), 0, 0.0)


@lru_cache(maxsize=1)
def _soundfont() -> Any:
    """The SoundFont, read once per process (20 ms); a copy of it shares the samples."""
    return _tinysoundfont.SoundFont(str(package_folder("pretty_midi") / SOUNDFONT))


def render(lines: Sequence[Line], n_samples: int, sample_rate_hz: int) -> NDArray[np.float32]:
    """Sound of some lines, (S,); peaks may exceed 1.

    Programs of the SoundFont differ by 20 dB in strength, so each is rendered alone and mixed at
    its lines' level.

    Raises:
        RenderError: nothing to play, or the synthesizer returns silence or broken samples.
    """
    by_program: dict[int, list[Line]] = {}
    for line in lines:
        if len(line.notes):
            by_program.setdefault(line.program, []).append(line)
    if not by_program:
        raise RenderError("there is no note to render")
    mix = np.zeros(n_samples, dtype=np.float32)
    for group in by_program.values():
        mix += _render_program(group, n_samples, sample_rate_hz)
    if not float(np.abs(mix).max()) > 0:
        raise RenderError("the synthesizer returned silence")
    return mix


def _render_program(lines: Sequence[Line], n_samples: int, rate: int) -> NDArray[np.float32]:
    """One program's lines at the level of their powers; silence stays. ``RenderError`` at NaN."""
    wave = _decimate(_play(lines, OVERSAMPLING * n_samples, OVERSAMPLING * rate), rate)
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


def _play(lines: Sequence[Line], n_samples: int, rate: int) -> NDArray[np.float32]:
    """The lines of one program as the synthesizer gives them, (n_samples,)."""
    synthesizer = _tinysoundfont.SoundFont(_soundfont())
    synthesizer.set_output(_tinysoundfont.OutputMode.Mono, rate, 0.0)
    synthesizer.set_max_voices(MAX_VOICES)
    program = lines[0].program
    _, _, correction = RETUNED.get(program, NO_CORRECTION)
    for channel in range(2 * len(lines)):  # two for each line; the second has the correction
        synthesizer.channel_set_preset_number(channel, max(program, DRUM_PRESET), program < 0)
        synthesizer.channel_set_tuning(channel, correction * (channel % 2))
    wave, now = np.zeros(n_samples, dtype=np.float32), 0
    for sample, velocity, channel, key in _events(lines, rate):
        until = min(sample, n_samples)
        synthesizer.render(wave[now:until].view(np.uint8))
        now = until
        if velocity > 0:
            synthesizer.channel_note_on(channel, key, velocity)
        else:
            synthesizer.channel_note_off(channel, key)
    synthesizer.render(wave[now:].view(np.uint8))
    return wave


def _events(lines: Sequence[Line], rate: int) -> list[tuple[int, float, int, int]]:
    """(sample, velocity, channel, key) in time; ends have velocity 0 and come before starts."""
    events = []
    for i, line in enumerate(lines):
        keys, shift, _ = RETUNED.get(line.program, NO_CORRECTION)
        for start, length, pitch, *velocity in line.notes.tolist():
            corrected = int(pitch) in keys
            voice = (2 * i + corrected, int(pitch) + shift * corrected)
            events.append((round(start * rate), *(velocity or [VELOCITY]), *voice))
            events.append((round((start + max(length, MIN_NOTE_S)) * rate), 0.0, *voice))
    return sorted(events)


def _decimate(wave: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """One sample in `OVERSAMPLING`, of what lies between `LOWEST_HZ` and half the new rate."""
    n_samples = len(wave) // OVERSAMPLING
    spectrum = rfft(wave)[: n_samples // 2 + 1]
    spectrum[: int(LOWEST_HZ * n_samples / rate) + 1] = 0.0
    lower: NDArray[np.float32] = irfft(spectrum, n_samples) / np.float32(OVERSAMPLING)
    return lower
