"""Post-processing of generated clips: separation, then loudness (Section III-E(b))."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.audio import fit_length, resample
from attm_core.errors import ConfigError, InputError
from attm_core.generation.loudness import (
    CEILING_DBTP,
    TARGET_LUFS,
    LoudnessReport,
    LoudnessVariant,
    normalize_loudness,
)
from attm_core.generation.separation import N_PASSES, SeparationVariant, three_passes_batch
from attm_core.progress import track
from attm_core.protocols import Separator


@dataclass(frozen=True)
class PostprocessConfig:
    """What is done to a generated clip; the defaults are the paper's.

    Attributes:
        n_passes: separation passes; 0 leaves the separator out.
        target_lufs: loudness wanted, or None to leave the loudness alone.
        ceiling_dbtp: true-peak ceiling.
        separation: variant of ``separation.three_passes``.
        loudness: variant of ``loudness.normalize_loudness``.
        batch_size: clips separated at once.
    """

    n_passes: int = N_PASSES
    target_lufs: float | None = TARGET_LUFS
    ceiling_dbtp: float = CEILING_DBTP
    separation: SeparationVariant = "as_written"
    loudness: LoudnessVariant = "as_written"
    batch_size: int = 4  # stays in cache: faster on a CPU than larger ones

    def __post_init__(self) -> None:
        if self.n_passes < 0 or self.batch_size < 1:
            raise ConfigError("n_passes must be at least 0 and batch_size at least 1")


def postprocess(
    waves: Float[Tensor, "B S"],
    sample_rate_hz: int,
    separator: Separator | None,
    config: PostprocessConfig | None = None,
) -> tuple[Float[Tensor, "B S"], list[LoudnessReport]]:
    """Separate and normalise B mono clips.

    Args:
        waves: generated clips.
        sample_rate_hz: their rate; the separator gets its own rate and the result comes back.
        separator: may be None if ``config.n_passes`` is 0.
        config: what to do; the paper's settings if None.

    Returns:
        Clips of the same shape, and one loudness report a clip (none if loudness is left alone).

    Raises:
        InputError: not (B, S), NaN or infinite samples, or clips below 0.4 s.
        ConfigError: separation wanted without a separator.
    """
    config = config or PostprocessConfig()
    if waves.ndim != 2:
        raise InputError(f"waves must have shape (B, S), got {tuple(waves.shape)}")
    if not torch.isfinite(waves).all():
        bad = [i for i, wave in enumerate(waves) if not torch.isfinite(wave).all()]
        raise InputError(f"clips {bad[:10]} hold NaN or infinite samples")
    if config.n_passes:
        waves = _separated(waves, sample_rate_hz, separator, config)
    if config.target_lufs is None:
        return waves, []
    return _normalized(waves, sample_rate_hz, config.target_lufs, config)


def _separated(
    waves: Tensor, sample_rate_hz: int, separator: Separator | None, config: PostprocessConfig
) -> Tensor:
    if separator is None:
        raise ConfigError("n_passes > 0 needs a separator")
    parts = waves.split(config.batch_size) if len(waves) else ()
    done = [
        resample(
            three_passes_batch(
                resample(part, sample_rate_hz, separator.sample_rate_hz),
                separator,
                config.separation,
                config.n_passes,
            ),
            separator.sample_rate_hz,
            sample_rate_hz,
        )
        for part in track(parts, f"separating {len(waves)} clips")
    ]
    return fit_length(torch.cat(done), waves.shape[1]) if done else waves


def _normalized(
    waves: Tensor, sample_rate_hz: int, target_lufs: float, config: PostprocessConfig
) -> tuple[Tensor, list[LoudnessReport]]:
    pairs = [
        normalize_loudness(
            wave[None], sample_rate_hz, target_lufs, config.ceiling_dbtp, config.loudness
        )
        for wave in waves
    ]
    scaled = torch.cat([wave for wave, _ in pairs]) if pairs else waves
    return scaled, [report for _, report in pairs]
