"""Loudness to −16.5 LUFS, true peak below −1 dBTP: Section III-E(b), ITU-R BS.1770-4."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.audio import check_wave, resample
from attm_core.constants import CEILING_DBTP, TARGET_LUFS, Variant
from attm_core.errors import ConfigError, InputError

if TYPE_CHECKING:
    from pyloudnorm import Meter

GATE_S = 0.4  # BS.1770-4: length of a gating block
_MAX_LOUDNESS_CHANNELS = 5

_METER_HZ = 48_000  # the rate that BS.1770-4 gives the K-filter for
_MIN_METER_HZ = 44_100  # below it pyloudnorm's filter is up to 0.12 LU off: use _METER_HZ

_OVERSAMPLING = 16  # BS.1770-4, Annex 2 asks for at least 4
_TAPS_A_SIDE = 32
# True peaks are up to 0.073 dB low on the released clips, against oversampling by an ideal filter:
# energy close to half the rate, which no finite filter passes. The ceiling keeps this much clear.
_CEILING_GUARD_DB = 0.1

_RELEASED_SAMPLE_PEAK = 0.99
RELEASED_PEAK_TARGET = 0.95


@dataclass(frozen=True)
class LoudnessReport:
    """What normalisation did to one clip.

    ``"normalized"``: the target is met; ``"ceiling"``: the peak ceiling came first, the clip is
    quieter than the target; ``"silent"``: left unchanged.
    """

    outcome: Literal["normalized", "ceiling", "silent"]
    gain_db: float
    before_lufs: float  # −inf when every block is below −70 LUFS
    after_lufs: float  # before plus gain, as gating is relative but for the −70 LUFS gate
    before_dbtp: float  # true peak; −inf for digital silence
    after_dbtp: float

    def describe(self) -> str:
        """Loudness, peak and gain in one line."""
        return (
            f"{self.outcome}: {self.before_lufs:.1f} → {self.after_lufs:.1f} LUFS, "
            f"peak {self.before_dbtp:.1f} → {self.after_dbtp:.1f} dBTP, gain {self.gain_db:+.1f} dB"
        )


def integrated_loudness(wave: Float[Tensor, "C S"], sample_rate_hz: int) -> float:
    """Integrated loudness in LUFS with K-weighting and both gates (BS.1770-4, Annex 1).

    −inf if no block passes the absolute gate of −70 LUFS.

    Raises:
        InputError: shorter than one gating block (0.4 s), more than five channels, or not finite.
    """
    check_wave(wave)
    if wave.shape[0] > _MAX_LOUDNESS_CHANNELS:
        raise InputError(
            f"loudness is defined for up to {_MAX_LOUDNESS_CHANNELS} channels, got {wave.shape[0]}"
        )
    duration_s = wave.shape[1] / sample_rate_hz
    if duration_s < GATE_S:
        raise InputError(f"loudness needs at least {GATE_S} s of audio, got {duration_s:.3f} s")
    if not wave.any():
        return -math.inf
    rate = sample_rate_hz if sample_rate_hz >= _MIN_METER_HZ else _METER_HZ
    metered = resample(wave.detach().cpu(), sample_rate_hz, rate, filter_width=64)
    data = metered.double().numpy().T
    return float(_meter(rate).integrated_loudness(data))


@lru_cache(maxsize=4)
def _meter(sample_rate_hz: int) -> Meter:
    from pyloudnorm import Meter

    return Meter(sample_rate_hz)


def true_peak(wave: Float[Tensor, "C S"]) -> float:
    """Largest absolute value of the band-limited signal between the samples (BS.1770-4, Annex 2).

    Linear, over all channels, ≥ the largest sample; before and after the clip is silence. The
    signal is oversampled 16-fold by a windowed sinc; `_CEILING_GUARD_DB` is what this misses.

    Raises:
        InputError: not audio, see ``audio.check_wave``.
    """
    import torchaudio.functional

    margin = _TAPS_A_SIDE + 1  # an end can be a peak
    padded = torch.nn.functional.pad(check_wave(wave).detach().float(), (margin, margin))
    fine = torchaudio.functional.resample(
        padded, 1, _OVERSAMPLING, lowpass_filter_width=_TAPS_A_SIDE, rolloff=1.0
    )
    return max(float(fine.abs().max()), float(wave.abs().max()))


def to_db(amplitude: float) -> float:
    """20 log10 of a linear amplitude; −inf at zero."""
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def normalize_loudness(
    wave: Float[Tensor, "C S"],
    sample_rate_hz: int,
    target_lufs: float = TARGET_LUFS,
    ceiling_dbtp: float = CEILING_DBTP,
    variant: Variant = "as_written",
) -> tuple[Float[Tensor, "C S"], LoudnessReport]:
    """Bring a clip to ``target_lufs`` by one gain, with its true peak at or below the ceiling.

    When both cannot be met the loudness gives way: no limiter touches the waveform, the gain stops
    where the true peak reaches the ceiling, and the report says ``"ceiling"``. Silence is left as
    it is. Variant ``"as_released"`` does what the released script does: the gain to the target,
    and if a *sample* then exceeds 0.99 the clip is rescaled to a sample peak of 0.95. Where a clip
    has no loudness the two differ: below 0.4 s the script writes it as it is and this refuses it;
    silence gets an infinite gain (NaN) from the script and is left alone here.

    Raises:
        InputError: see ``integrated_loudness``.
        ConfigError: unknown variant.
    """
    if variant not in ("as_written", "as_released"):
        raise ConfigError(f"loudness variant {variant!r} is not as_written or as_released")
    loudness, peak_dbtp = integrated_loudness(wave, sample_rate_hz), to_db(true_peak(wave))
    if loudness == -math.inf:
        return wave, LoudnessReport("silent", 0.0, loudness, loudness, peak_dbtp, peak_dbtp)
    wanted_db = target_lufs - loudness
    # PAPER-SILENT: III-E(b) names a target and a ceiling, not what yields when both cannot hold.
    # A limiter would change the signal that FAD-CLAP measures; a smaller gain does not.
    allowed_db = ceiling_dbtp - _CEILING_GUARD_DB - peak_dbtp
    if variant == "as_released":
        sample_db = to_db(float(wave.abs().max()))
        loud = sample_db + wanted_db > to_db(_RELEASED_SAMPLE_PEAK)
        allowed_db = to_db(RELEASED_PEAK_TARGET) - sample_db if loud else wanted_db
    gain_db = min(wanted_db, allowed_db)
    scaled = wave * 10 ** (gain_db / 20)
    after_lufs, after_dbtp = loudness + gain_db, peak_dbtp + gain_db
    return scaled, LoudnessReport(
        "ceiling" if gain_db < wanted_db else "normalized",
        gain_db, loudness, after_lufs, peak_dbtp, after_dbtp,
    )  # fmt: skip
