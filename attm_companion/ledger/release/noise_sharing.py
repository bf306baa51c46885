"""Do two clips start from the same noise? Fine time-frequency detail tells.

Flow matching maps noise to audio deterministically, and related models map the same noise to
similar detail even under other prompts. So the slow part of a log-mel spectrogram (style, level,
envelope) is removed and the rest correlated. Clips of unrelated noise correlate like chance.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import stft

from attm_companion.arrays import Array
from attm_core.errors import InputError

Matrix = Array
Key = tuple[str, int]  # system and prompt id, of a row of a matrix of correlations

N_FFT = 2048
HOP = 1024  # one latent frame of the 44.1 kHz codec
N_BANDS = 64
TOP_HZ = 16000.0
SMOOTH_FRAMES = 15
N_PERMUTATIONS = 2000
MIN_PAIRS_PER_LAG = 5
SHOWN_LAGS = 20


def fine_detail(wave: Array, sample_rate_hz: int) -> Array:
    """Log-mel spectrogram of a mono wave (S,) without its slow part, flattened to unit norm.

    Raises:
        InputError: fewer samples than one smoothing window.
    """
    if len(wave) < HOP * 2 * SMOOTH_FRAMES:
        raise InputError(f"{len(wave)} samples are too few to compare noise")
    level = np.log(np.maximum(_band_powers(wave, sample_rate_hz), 1e-7))
    level -= level.mean(axis=0, keepdims=True)
    detail: Array = (level - uniform_filter1d(level, SMOOTH_FRAMES, axis=1)).ravel()
    detail -= detail.mean()
    norm = float(np.linalg.norm(detail))
    return detail / norm if norm > 0 else detail


def _band_powers(wave: Array, sample_rate_hz: int) -> Array:
    """Power in bands of equal width on the mel scale, (bands, frames)."""
    frequency, _, spectrum = stft(wave, sample_rate_hz, nperseg=N_FFT, noverlap=N_FFT - HOP)
    top = min(TOP_HZ, sample_rate_hz / 2)
    edges = 700 * (10 ** (np.linspace(0, np.log10(1 + top / 700), N_BANDS + 1)) - 1)
    starts = np.unique(np.searchsorted(frequency, edges))
    power = np.add.reduceat(np.abs(spectrum) ** 2, starts[:-1], axis=0)
    means: Array = power * N_FFT**2 / np.diff(starts)[:, None]
    return means


def correlation_matrix(details: Sequence[Array]) -> Matrix:
    """Correlations of unit-norm details, (n, n); ``InputError`` unless of one length."""
    if len({len(detail) for detail in details}) != 1:
        raise InputError("noise can be compared between clips of one length only")
    stacked = np.stack(details)
    return stacked @ stacked.T


def same_prompt_excess(block: Matrix, generator: np.random.Generator) -> dict[str, Any]:
    """Same-prompt against other-prompt correlation between two systems, with a permutation p.

    ``block`` (n, n) has a row per prompt of one system and a column per prompt of the other, whose
    prompts the generator shuffles.
    """
    n = len(block)
    same, other = np.diag(block), block[~np.eye(n, dtype=bool)]
    shuffled = [block[np.arange(n), generator.permutation(n)].mean() for _ in range(N_PERMUTATIONS)]
    extreme = np.count_nonzero(np.array(shuffled) >= same.mean() - 1e-12)
    return {
        "n": n,
        "same_prompt_mean": float(same.mean()),
        "other_prompt_mean": float(other.mean()),
        "other_prompt_sd": float(other.std()),
        "p": (1 + extreme) / (1 + N_PERMUTATIONS),
    }


def correlations_by_lag(
    matrix: Matrix, keys: Sequence[Key], first: str, second: str
) -> dict[int, list[float]]:
    """Correlations by lag, id of ``second`` − id of ``first``.

    With seeds ``base + index``, bases 42 and 55 share noise at lag 42 − 55 = −13.
    """
    sums: dict[int, list[float]] = {}
    for i, (system_i, id_i) in enumerate(keys):
        for j, (system_j, id_j) in enumerate(keys):
            if (system_i, system_j) == (first, second):
                sums.setdefault(id_j - id_i, []).append(float(matrix[i, j]))
    return dict(sorted(sums.items()))


def best_lag(lags: Mapping[int, Sequence[float]]) -> dict[str, Any]:
    """The lag whose mean stands out most, among lags with at least five pairs.

    Returns:
        ``best_lag``, its mean and number of pairs, and ``best_lag_z``, the mean over its standard
        error under the spread of all pairs; zeros if there is none.
    """
    tried = {lag: values for lag, values in lags.items() if len(values) >= MIN_PAIRS_PER_LAG}
    spread = float(np.std([value for values in lags.values() for value in values])) + 1e-12
    z = {lag: float(np.mean(v) * np.sqrt(len(v))) / spread for lag, v in tried.items()}
    lag = max(z, key=z.__getitem__, default=0)
    found = tried.get(lag, [])
    return {
        "best_lag": lag,
        "best_lag_mean": float(np.mean(found)) if found else 0.0,
        "best_lag_pairs": len(found),
        "best_lag_z": z.get(lag, 0.0),
    }


def summarize(
    details: Mapping[Key, Array], systems: Sequence[str], generator: np.random.Generator
) -> dict[str, Any]:
    """Noise sharing between and within systems that have at least two prompts (in common)."""
    keys = list(details)
    rows = {name: {n: i for i, (s, n) in enumerate(keys) if s == name} for name in systems}
    rows = {name: found for name, found in rows.items() if len(found) > 1}
    matrix = correlation_matrix(list(details.values()))
    between = {}
    for a, b in combinations(rows, 2):
        common = sorted(rows[a].keys() & rows[b].keys())
        if len(common) > 1:
            block = matrix[np.ix_([rows[a][n] for n in common], [rows[b][n] for n in common])]
            lags = correlations_by_lag(matrix, keys, a, b)
            near = {f"{lag:+d}": float(np.mean(v)) for lag, v in lags.items()
                    if abs(lag) <= SHOWN_LAGS}  # fmt: skip
            same = same_prompt_excess(block, generator)
            between[f"{a}_{b}"] = same | best_lag(lags) | {"profile": near}
    within = {}
    for name, found in rows.items():  # high if all prompts share one noise
        block = matrix[np.ix_([*found.values()], [*found.values()])]
        within[name] = float(block[~np.eye(len(block), dtype=bool)].mean())
    return {"between": between, "within_other_prompts": within}
