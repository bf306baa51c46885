"""Stage 2, expert iteration: learn from the best of one's own samples (Section III-D(c)).

About 600 clips are sampled at s = 2, ranked by reward and CLAP fit, and the best 64 kept. They go
back into training twice: oversampled five times into the whole mixture, then alone.
`expert_iteration` is the whole stage; each step of it is a public function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attm_core.backbone.flux_audio import FluxAudio
from attm_core.configuration import ExpertIterationConfig, SFTConfig
from attm_core.constants import NULL_SCORE
from attm_core.errors import InputError
from attm_core.randomness import numpy_generator
from attm_core.training.data import ClipSource, LatentSet, Mixture
from attm_core.training.own_samples import Sampling, as_clips, judged_samples
from attm_core.training.run import Run, tensors_digest
from attm_core.training.sft import SFTObjective, train_flow

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ExpertIterationResult:
    """What Stage 2 sampled, kept and did; the trained model is the one that was passed in."""

    prompts: list[str]  # caption of each of n samples
    latents: Tensor  # (n, N, C)
    reward: NDArray[np.float64]  # how they were judged (n,)
    clap: NDArray[np.float64]
    kept: NDArray[np.intp]  # rows of the experts, the best first (k,)
    logs: dict[str, pd.DataFrame]  # "finetune" and "polish", a row per step


def expert_iteration(
    model: FluxAudio,
    sampling: Sampling,
    train: LatentSet,
    valid: LatentSet | None,
    config: ExpertIterationConfig,
    run: Run,
) -> ExpertIterationResult:
    """Stage 2 as a whole, ``model`` in place: sample, judge, keep, fine-tune, polish.

    Samples and experts are written to the run's folder first and read back, so a killed run goes
    on with the same ones. ``model`` is the Stage 1 model, ``train`` its training clips, ``valid``
    held-out clips for the validation loss.

    Raises:
        InputError: a sample cannot be judged.
    """
    prompts = sampling.prompts(config.n_samples, run.seed, "expert")
    samples = judged_samples(model.eval(), sampling, prompts, config.s, run)
    reward, clap = (samples[name].double().numpy() for name in ("reward", "clap"))

    kept = select(reward, clap, config, run.seed)
    rows = torch.from_numpy(kept)
    score = samples["reward"][rows]
    if config.label != "own":
        score = torch.full_like(score, config.s if config.label == "sampling" else NULL_SCORE)

    def clips() -> dict[str, Tensor]:
        # Without experts, the text of one prompt gives the empty set its shapes.
        text = sampling.encode([prompts[row] for row in kept] or prompts[:1])[: len(kept)]
        return as_clips(samples["latents"][rows], text, score).tensors()

    identity = tensors_digest([samples["latents"], rows, score])
    experts = LatentSet(**run.once("experts.safetensors", clips, identity))

    mixture = Mixture((train, experts), (1, config.oversample))
    alone = experts if len(kept) else train
    logs = {}
    stages: dict[str, tuple[ClipSource, SFTConfig]] = {
        "finetune": (mixture, config.finetune),
        "polish": (alone, config.polish),
    }
    for name, (source, stage) in stages.items():
        objective, label = SFTObjective(model, source, stage, run.seed), f"expert iteration, {name}"
        logs[name] = train_flow(model, objective, stage, valid, run.part(name), label).log
    return ExpertIterationResult(prompts, samples["latents"], reward, clap, kept, logs)


def select(
    reward: NDArray[np.floating[Any]],
    clap: NDArray[np.floating[Any]],
    config: ExpertIterationConfig,
    seed: int,
) -> NDArray[np.intp]:
    """The rows that the configured arm keeps: the best, as many at random, or none."""
    best = select_top_decile(reward, clap, config.n_keep)
    if config.keep == "top":
        return best
    drawn = numpy_generator(seed, "expert", "random").permutation(len(reward))
    return drawn[: config.n_keep if config.keep == "random" else 0]


def select_top_decile(
    reward: NDArray[np.floating[Any]], clap: NDArray[np.floating[Any]], keep: int
) -> NDArray[np.intp]:
    """The rows (keep,) of the ``keep`` best samples by the blend, the best first.

    Raises:
        InputError: the columns (n,) differ in length, hold NaN, or are shorter than ``keep``.
    """
    reward, clap = np.asarray(reward), np.asarray(clap)
    if reward.ndim != 1 or reward.shape != clap.shape:
        raise InputError(f"reward {reward.shape} and clap {clap.shape} must both be (n,)")
    if not 1 <= keep <= len(reward):
        raise InputError(f"cannot keep {keep} of {len(reward)} samples")
    if not (np.isfinite(reward).all() and np.isfinite(clap).all()):
        raise InputError("a sample's reward or CLAP score is not finite; drop silent samples first")
    return np.argsort(-blend(reward, clap), kind="stable")[:keep]


def blend(
    reward: NDArray[np.floating[Any]], clap: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """The equal-weight z-score blend (n,) of ranker reward and CLAP-text similarity."""
    return (z_scores(reward) + z_scores(clap)) / 2


def z_scores(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Values (n,) less their mean, over their population standard deviation; zeros if constant."""
    centred = np.asarray(values, dtype=np.float64) - np.mean(values, dtype=np.float64)
    spread = centred.std()
    # A constant column has no say in the blend; its rounding noise must not get one.
    if spread <= 1e-12 * max(1.0, float(np.abs(values).max(initial=0.0))):
        return np.zeros_like(centred)
    return np.asarray(centred / spread)
