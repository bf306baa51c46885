"""Stage 2, expert iteration: learn from the best of one's own samples (Section III-D(c)).

About 600 clips are sampled at s = 2, ranked by reward and CLAP fit, and the best 64 kept. They go
back into training twice: oversampled five times into the whole mixture, then alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attm_core.backbone.flux_audio import FluxAudio
from attm_core.errors import InputError
from attm_core.training.data import ClipSource, LatentSet, Mixture
from attm_core.training.loop import fit
from attm_core.training.objective import TrainConfig, TrainResult
from attm_core.training.optimisation import OptimConfig
from attm_core.training.sft import SFTConfig, SFTObjective, ValidationLoss

if TYPE_CHECKING:
    from accelerate import Accelerator

N_SAMPLES = 600
SAMPLE_SCORE = 2.0
N_KEPT = 64
OVERSAMPLE = 5


def _finetuning(n_steps: int, lr: float) -> SFTConfig:
    # PAPER-SILENT: warm-up of Stage 2 is not stated; the released configuration has none (a warm
    # start with a small learning rate).
    return SFTConfig(train=TrainConfig(n_steps, optim=OptimConfig(lr=lr, warmup_steps=0)))


@dataclass(frozen=True)
class ExpertIterationConfig:
    """Stage 2 as published: 30 K steps at 1e-5 on the mixture, then 5 K at 1e-6 on the experts.

    Attributes:
        mixture: the fine-tune on the oversampled mixture.
        polish: the fine-tune on the kept clips alone.
        oversample: how often a kept clip occurs for one occurrence of a training clip.
    """

    mixture: SFTConfig = field(default_factory=lambda: _finetuning(30_000, 1e-5))
    polish: SFTConfig = field(default_factory=lambda: _finetuning(5_000, 1e-6))
    oversample: int = OVERSAMPLE


def z_scores(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Values (n,) less their mean, over their population standard deviation; zeros if constant."""
    centred = np.asarray(values, dtype=np.float64) - np.mean(values, dtype=np.float64)
    spread = centred.std()
    # A constant column has no say in the blend; its rounding noise must not get one.
    if spread <= 1e-12 * max(1.0, float(np.abs(values).max(initial=0.0))):
        return np.zeros_like(centred)
    return np.asarray(centred / spread)


def blend(
    reward: NDArray[np.floating[Any]], clap: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """The equal-weight z-score blend (n,) of ranker reward and CLAP-text similarity."""
    return (z_scores(reward) + z_scores(clap)) / 2


def select_top_decile(
    reward: NDArray[np.floating[Any]], clap: NDArray[np.floating[Any]], keep: int = N_KEPT
) -> NDArray[np.intp]:
    """The rows (keep,) of the ``keep`` best samples by the blend, the best first.

    Args:
        reward: ranker rewards (n,).
        clap: CLAP similarities of each sample to its own caption (n,).
        keep: how many; the paper keeps 64 of about 600 and calls it the top decile.

    Raises:
        InputError: the columns differ in length, hold NaN, or are shorter than ``keep``.
    """
    reward, clap = np.asarray(reward), np.asarray(clap)
    if reward.ndim != 1 or reward.shape != clap.shape:
        raise InputError(f"reward {reward.shape} and clap {clap.shape} must both be (n,)")
    if not 1 <= keep <= len(reward):
        raise InputError(f"cannot keep {keep} of {len(reward)} samples")
    if not (np.isfinite(reward).all() and np.isfinite(clap).all()):
        raise InputError("a sample's reward or CLAP score is not finite; drop silent samples first")
    return np.argsort(-blend(reward, clap), kind="stable")[:keep]


def expert_mixture(train: LatentSet, experts: LatentSet, oversample: int = OVERSAMPLE) -> Mixture:
    """The training clips once and the kept clips ``oversample`` times in each pass."""
    return Mixture((train, experts), (1, oversample))


def finetune(
    model: FluxAudio,
    source: ClipSource,
    valid: LatentSet | None,
    config: SFTConfig,
    folder: Path,
    description: str = "fine-tune",
    accelerator: Accelerator | None = None,
) -> TrainResult:
    """Train ``model`` further, in place, with the SFT objective on ``source``; resumes.

    The latent statistics stay those of Stage 1. Arguments as in `attm_core.training.sft.train_sft`.
    """
    objective = SFTObjective(model, source, config)
    validate = None if valid is None else partial(ValidationLoss(valid), model)
    return fit(model, objective, config.train, folder, validate, description, accelerator)


def train_expert_iteration(
    model: FluxAudio,
    train: LatentSet,
    experts: LatentSet,
    valid: LatentSet | None,
    config: ExpertIterationConfig,
    folder: Path,
    accelerator: Accelerator | None = None,
) -> tuple[TrainResult, TrainResult]:
    """Both fine-tunes of Stage 2, in place: on the mixture, then the polish on ``experts``.

    Args:
        model: the Stage 1 model.
        train: the clips of Stage 1.
        experts: the kept samples: their own latents (std 0), captions, and rewards as scores.
        valid: held-out clips for the validation loss, or None.
        config: the stage's configuration.
        folder: holds the two runs, ``mixture/`` and ``polish/``.
        accelerator: for several processes.
    """
    mixture = expert_mixture(train, experts, config.oversample)

    def run(name: str, source: ClipSource, stage: SFTConfig) -> TrainResult:
        label = f"expert iteration, {name}"
        return finetune(model, source, valid, stage, folder / name, label, accelerator)

    first = run("mixture", mixture, config.mixture)
    return first, run("polish", experts, config.polish)
