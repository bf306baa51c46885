"""Measuring devices for single clips: full scale, padding, and the top of the spectrum.

Loudness and true peak are in :mod:`attm_core.generation.loudness`; each device here is checked on
synthetic signals with known answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attm_core.errors import InputError

Wave = NDArray[np.float64]

FLOOR_DB = -200.0
NYQUIST_BAND_HZ = 50.0
REFERENCE_BAND_HZ = (1000.0, 300.0)
N_FFT = 8192


def decibel(amplitude: float) -> float:
    """20·log10 of an amplitude, not below −200 dB."""
    return max(FLOOR_DB, 20.0 * float(np.log10(max(amplitude, 1e-30))))


def full_scale_samples(wave: Wave, bits: int = 16) -> int:
    """Samples at the largest or smallest value that ``bits`` can hold: the sign of clipping."""
    top = 1.0 - 2.0 ** (1 - bits)
    return int(np.count_nonzero(np.abs(wave) >= top))


def trailing_zeros(wave: Wave) -> int:
    """Exact zeros at the end, the trace of padding."""
    sounding = np.flatnonzero(wave)
    return len(wave) if len(sounding) == 0 else int(len(wave) - 1 - sounding[-1])


@dataclass(frozen=True)
class Spectrum:
    """Mean power spectral density, one-sided.

    Attributes:
        frequency_hz: (K,) from 0 to Nyquist inclusive.
        level_db: (K,) dB relative to full scale² per hertz.
    """

    frequency_hz: Wave
    level_db: Wave

    def band_level_db(self, low_hz: float, high_hz: float) -> float:
        """Median level between two frequencies, both included."""
        inside = (self.frequency_hz >= low_hz) & (self.frequency_hz <= high_hz)
        if not inside.any():
            raise InputError(f"no spectral line lies between {low_hz} and {high_hz} Hz")
        return float(np.median(self.level_db[inside]))


def power_spectrum(wave: Wave, sample_rate_hz: int, n_fft: int = N_FFT) -> Spectrum:
    """Welch's estimate with half-overlapping Hann windows."""
    from scipy.signal import welch

    if len(wave) < n_fft:
        raise InputError(f"{len(wave)} samples are fewer than one window of {n_fft}")
    frequency, power = welch(wave, sample_rate_hz, nperseg=n_fft, detrend=False)
    level = 10.0 * np.log10(np.maximum(power, 1e-20))
    return Spectrum(frequency, level)


def nyquist_line_db(spectrum: Spectrum) -> float:
    """How far the line at Nyquist stands above the band just below it, in dB.

    The band lies between 1,000 and 300 Hz below Nyquist. A resampled or vocoded clip has about 0
    or a negative value; a constant alternation of sign (…, +a, −a, …) a large positive one.
    """
    nyquist = float(spectrum.frequency_hz[-1])
    top = float(spectrum.level_db[spectrum.frequency_hz >= nyquist - NYQUIST_BAND_HZ].max())
    far, near = REFERENCE_BAND_HZ
    return top - spectrum.band_level_db(nyquist - far, nyquist - near)


def bandwidth_hz(spectrum: Spectrum, below_peak_db: float = 60.0) -> float:
    """Highest frequency, Nyquist line aside, within ``below_peak_db`` of the strongest one."""
    kept = spectrum.frequency_hz < spectrum.frequency_hz[-1] - REFERENCE_BAND_HZ[1]
    level = spectrum.level_db[kept]
    return float(
        spectrum.frequency_hz[kept][np.flatnonzero(level >= level.max() - below_peak_db)[-1]]
    )
