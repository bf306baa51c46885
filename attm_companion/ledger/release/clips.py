"""Each clip against the promises of Section III-E: loudness, peaks, silence, padding, spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import welch

from attm_companion.arrays import Array
from attm_companion.ledger.release.files import SYSTEMS, Clip
from attm_companion.ledger.release.noise_sharing import fine_detail
from attm_core.audio import load_audio, to_mono
from attm_core.errors import InputError
from attm_core.generation.loudness import integrated_loudness, true_peak

Wave = Array

TARGET_TOLERANCE_LU = 0.1
NYQUIST_LINE_DB = 30.0
NYQUIST_BAND_HZ = 50.0
REFERENCE_BAND_HZ = (1000.0, 300.0)  # below Nyquist
PREVIEW_SPAN_HZ = 2500.0
FULL_SCALE = 1.0 - 2.0**-15  # the largest 16-bit value
FLOOR_DB = -200.0
N_FFT = 8192


@dataclass(frozen=True)
class MeasuredClip:
    """What was measured on one clip."""

    # ``system``, ``prompt_id``, ``sample_rate_hz``, ``n_channels`` and ``duration_s`` of the file;
    # ``loudness_lufs`` (BS.1770-4, gated), ``sample_peak_db``, ``true_peak_dbtp``; ``full_scale``,
    # samples at the ends of 16 bits, the sign of clipping; ``trailing_zeros``, the trace of
    # padding; ``nyquist_line_db`` and ``bandwidth_hz``, see the functions
    measures: dict[str, Any]
    top_frequency_hz: Wave  # lines of the spectrum near Nyquist (K,)
    top_level_db: Wave  # their levels (K,)
    detail: Wave  # what shows shared noise, see `fine_detail`


def measure(clip: Clip) -> MeasuredClip:
    """Measure a clip; raises ``InputError`` if it is no audio or shorter than a loudness block."""
    wave, rate = load_audio(clip.path)
    mono = to_mono(wave)[0].double().numpy()
    frequency, level = power_spectrum(mono, rate)
    measures = {
        "system": clip.system,
        "prompt_id": clip.prompt_id,
        "sample_rate_hz": rate,
        "n_channels": wave.shape[0],
        "duration_s": wave.shape[1] / rate,
        "loudness_lufs": integrated_loudness(wave, rate),
        "sample_peak_db": decibel(float(wave.abs().max())),
        "true_peak_dbtp": decibel(true_peak(wave)),
        "full_scale": int(np.count_nonzero(np.abs(mono) >= FULL_SCALE)),
        "trailing_zeros": trailing_zeros(mono),
        "nyquist_line_db": nyquist_line_db(frequency, level),
        "bandwidth_hz": bandwidth_hz(frequency, level),
    }
    top = frequency >= frequency[-1] - PREVIEW_SPAN_HZ
    return MeasuredClip(measures, frequency[top], level[top], fine_detail(mono, rate))


def measure_all(clips: Sequence[Clip]) -> list[MeasuredClip]:
    """Measure clips, two at a time; the order is that of ``clips``."""
    with ThreadPoolExecutor(2) as pool:  # the work is in libraries that release the lock
        return list(pool.map(measure, clips))


def decibel(amplitude: float) -> float:
    """20·log10 of an amplitude, not below −200 dB."""
    return max(FLOOR_DB, 20.0 * float(np.log10(max(amplitude, 1e-30))))


def trailing_zeros(wave: Wave) -> int:
    """Exact zeros at the end."""
    return int(len(wave) - 1 - np.flatnonzero(wave)[-1]) if wave.any() else len(wave)


def power_spectrum(wave: Wave, sample_rate_hz: int) -> tuple[Wave, Wave]:
    """Welch's estimate with half-overlapping Hann windows.

    Returns:
        Frequencies from 0 to Nyquist in Hz, and levels in dB re full scale² / Hz, (K,) each.

    Raises:
        InputError: fewer samples than one window.
    """
    if len(wave) < N_FFT:
        raise InputError(f"{len(wave)} samples are fewer than one window of {N_FFT}")
    frequency, power = welch(wave, sample_rate_hz, nperseg=N_FFT, detrend=False)
    return frequency, 10.0 * np.log10(np.maximum(power, 1e-20))


def nyquist_line_db(frequency: Wave, level: Wave) -> float:
    """How far the line at Nyquist stands above the median of the band just below it, in dB.

    A resampled or vocoded clip has about 0 or a negative value; a constant alternation of sign
    (…, +a, −a, …) a large positive one.
    """
    below = frequency[-1] - frequency
    far, near = REFERENCE_BAND_HZ
    band = np.median(level[(below <= far) & (below >= near)])
    return float(level[below <= NYQUIST_BAND_HZ].max()) - float(band)


def bandwidth_hz(frequency: Wave, level: Wave, below_peak_db: float = 60.0) -> float:
    """Highest frequency, Nyquist line aside, within ``below_peak_db`` of the strongest one."""
    kept = frequency < frequency[-1] - REFERENCE_BAND_HZ[1]
    loud = level[kept] >= level[kept].max() - below_peak_db
    return float(frequency[kept][loud][-1])


def table_of(measured: Sequence[MeasuredClip]) -> pd.DataFrame:
    """One row per clip."""
    return pd.DataFrame([one.measures for one in measured])


def top_spectra(measured: Sequence[MeasuredClip], n_points: int = 50) -> dict[str, Any]:
    """Median spectrum of each system below Nyquist, thinned to the maxima of stretches."""
    frequency = measured[0].top_frequency_hz
    stretches = np.array_split(np.arange(len(frequency)), n_points)
    levels: dict[str, list[float]] = {}
    for name in SYSTEMS:
        clips = [one.top_level_db for one in measured if one.measures["system"] == name]
        if clips:
            median = np.median(np.stack(clips), axis=0)
            levels[name] = [float(median[rows].max()) for rows in stretches]
    return {"frequency_hz": [float(frequency[rows[-1]]) for rows in stretches], "level_db": levels}


def summarize(table: pd.DataFrame, target_lufs: float, ceiling_dbtp: float) -> dict[str, Any]:
    """Counts and ranges per system, against the loudness and the true-peak ceiling promised."""
    found = {name: table[table.system == name] for name in SYSTEMS}
    return {n: _summary(t, target_lufs, ceiling_dbtp) for n, t in found.items() if len(t)}


def _summary(rows: pd.DataFrame, target_lufs: float, ceiling_dbtp: float) -> dict[str, Any]:
    off_target = (rows.loudness_lufs - target_lufs).abs()
    on_target = off_target <= TARGET_TOLERANCE_LU
    forms = {f"{r.sample_rate_hz} Hz, {r.n_channels} channel(s), {r.duration_s:g} s"
             for r in rows.itertuples()}  # fmt: skip
    ranges = ("loudness_lufs", "true_peak_dbtp", "nyquist_line_db", "bandwidth_hz")
    return {
        "n": len(rows),
        "ids": sorted(int(number) for number in rows.prompt_id),
        "formats": sorted(forms),
        "on_target": int(on_target.sum()),
        "quieter_than_target": int((rows.loudness_lufs < target_lufs - TARGET_TOLERANCE_LU).sum()),
        "largest_miss_lu": float(off_target.max()),
        "above_ceiling": int((rows.true_peak_dbtp > ceiling_dbtp).sum()),
        "missed_peak_db": _range(rows.sample_peak_db[~on_target]),
        "clips_at_full_scale": int((rows.full_scale > 0).sum()),
        "trailing_zeros": sorted({int(count) for count in rows.trailing_zeros}),
        "with_nyquist_line": int((rows.nyquist_line_db > NYQUIST_LINE_DB).sum()),
        **{name: _range(rows[name]) for name in ranges},
    }


def _range(values: pd.Series[float]) -> dict[str, float] | None:
    if values.empty:
        return None
    return {name: float(getattr(values, name)()) for name in ("min", "median", "max")}
