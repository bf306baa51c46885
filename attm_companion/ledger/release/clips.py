"""Each clip against the promises of Section III-E: loudness, peaks, silence, padding, spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from attm_companion.ledger.release import devices
from attm_companion.ledger.release.files import SYSTEMS, Clip
from attm_companion.ledger.release.noise_sharing import fine_detail

TARGET_TOLERANCE_LU = 0.1
NYQUIST_LINE_DB = 30.0
PREVIEW_SPAN_HZ = 2500.0


@dataclass(frozen=True)
class ClipMeasures:
    """What was measured on one clip.

    Attributes:
        system: which system made it.
        prompt_id: for which prompt.
        sample_rate_hz: of the file.
        n_channels: of the file.
        duration_s: of the file.
        loudness_lufs: BS.1770-4, gated.
        sample_peak_db: largest sample, dBFS.
        true_peak_dbtp: largest value between samples.
        full_scale: samples at full scale.
        trailing_zeros: exact zeros at the end.
        nyquist_line_db: line at Nyquist above the band below it.
        bandwidth_hz: highest frequency within 60 dB of the strongest.
    """

    system: str
    prompt_id: int
    sample_rate_hz: int
    n_channels: int
    duration_s: float
    loudness_lufs: float
    sample_peak_db: float
    true_peak_dbtp: float
    full_scale: int
    trailing_zeros: int
    nyquist_line_db: float
    bandwidth_hz: float


@dataclass(frozen=True)
class MeasuredClip:
    """Measures, the upper end of the spectrum, and the detail that shows shared noise."""

    measures: ClipMeasures
    top_frequency_hz: devices.Wave
    top_level_db: devices.Wave
    detail: devices.Wave


def measure(clip: Clip) -> MeasuredClip:
    """Measure one clip.

    Raises:
        InputError: the file is not audio, or shorter than a loudness block.
    """
    from attm_core.audio import load_audio, to_mono
    from attm_core.generation.loudness import integrated_loudness, true_peak

    wave, rate = load_audio(clip.path)
    mono = to_mono(wave)[0].double().numpy()
    spectrum = devices.power_spectrum(mono, rate)
    measures = ClipMeasures(
        system=clip.system,
        prompt_id=clip.prompt_id,
        sample_rate_hz=rate,
        n_channels=wave.shape[0],
        duration_s=wave.shape[1] / rate,
        loudness_lufs=integrated_loudness(wave, rate),
        sample_peak_db=devices.decibel(float(wave.abs().max())),
        true_peak_dbtp=devices.decibel(true_peak(wave)),
        full_scale=devices.full_scale_samples(mono),
        trailing_zeros=devices.trailing_zeros(mono),
        nyquist_line_db=devices.nyquist_line_db(spectrum),
        bandwidth_hz=devices.bandwidth_hz(spectrum),
    )
    top = spectrum.frequency_hz >= spectrum.frequency_hz[-1] - PREVIEW_SPAN_HZ
    return MeasuredClip(
        measures, spectrum.frequency_hz[top], spectrum.level_db[top], fine_detail(mono, rate)
    )


def measure_all(clips: Sequence[Clip], workers: int = 2) -> list[MeasuredClip]:
    """Measure clips in parallel; the order is that of ``clips``."""
    if workers <= 1 or len(clips) < 2:
        return [measure(clip) for clip in clips]
    with ThreadPoolExecutor(workers) as pool:  # the work is in libraries that release the lock
        return list(pool.map(measure, clips))


def table_of(measured: Sequence[MeasuredClip]) -> pd.DataFrame:
    """One row a clip."""
    return pd.DataFrame([asdict(one.measures) for one in measured])


def top_spectra(measured: Sequence[MeasuredClip], n_points: int = 50) -> dict[str, Any]:
    """Median spectrum of each system below Nyquist, thinned to the maxima of stretches."""
    stretches = np.array_split(np.arange(len(measured[0].top_frequency_hz)), n_points)
    ends = [float(measured[0].top_frequency_hz[rows[-1]]) for rows in stretches]
    levels: dict[str, list[float]] = {}
    for name in SYSTEMS:
        clips = [one.top_level_db for one in measured if one.measures.system == name]
        if clips:
            median = np.median(np.stack(clips), axis=0)
            levels[name] = [float(median[rows].max()) for rows in stretches]
    return {"frequency_hz": ends, "level_db": levels}


def summarize(table: pd.DataFrame, target_lufs: float, ceiling_dbtp: float) -> dict[str, Any]:
    """Counts and ranges per system: what the ledger reads and the project commits.

    Args:
        table: as from :func:`table_of`.
        target_lufs: loudness promised.
        ceiling_dbtp: true-peak ceiling promised.
    """
    return {
        name: _system_summary(table[table.system == name], target_lufs, ceiling_dbtp)
        for name in SYSTEMS
        if (table.system == name).any()
    }


def _system_summary(rows: pd.DataFrame, target_lufs: float, ceiling_dbtp: float) -> dict[str, Any]:
    off_target = (rows.loudness_lufs - target_lufs).abs()
    on_target = off_target <= TARGET_TOLERANCE_LU
    return {
        "n": len(rows),
        "ids": sorted(int(number) for number in rows.prompt_id),
        "formats": sorted({f"{r.sample_rate_hz} Hz, {r.n_channels} channel(s), {r.duration_s:g} s"
                           for r in rows.itertuples()}),
        "on_target": int(on_target.sum()),
        "quieter_than_target": int((rows.loudness_lufs < target_lufs - TARGET_TOLERANCE_LU).sum()),
        "largest_miss_lu": float(off_target.max()),
        "loudness_lufs": _range(rows.loudness_lufs),
        "true_peak_dbtp": _range(rows.true_peak_dbtp),
        "above_ceiling": int((rows.true_peak_dbtp > ceiling_dbtp).sum()),
        "missed_peak_db": _range(rows.sample_peak_db[~on_target]),
        "clips_at_full_scale": int((rows.full_scale > 0).sum()),
        "trailing_zeros": sorted({int(count) for count in rows.trailing_zeros}),
        "nyquist_line_db": _range(rows.nyquist_line_db),
        "with_nyquist_line": int((rows.nyquist_line_db > NYQUIST_LINE_DB).sum()),
        "bandwidth_hz": _range(rows.bandwidth_hz),
    }  # fmt: skip


def _range(values: pd.Series[float]) -> dict[str, float] | None:
    if values.empty:
        return None
    return {
        "min": float(values.min()),
        "median": float(values.median()),
        "max": float(values.max()),
    }
