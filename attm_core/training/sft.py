"""Stage 1, score-conditioned SFT: flow matching with the reward as a condition (Section III-D(b)).

Every clip carries the ranker's reward, which the score head sees; text and score are nulled now and
then so that Eq. (2) can guide on both. The baseline is the same training of a backbone without a
score head. Stage 2 uses the same objective on other data (`attm_core.training.expert_iteration`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from attm_core.backbone.flux_audio import FluxAudio
from attm_core.randomness import torch_generator
from attm_core.training.data import ClipSource, LatentSet, RowSampler
from attm_core.training.flow_matching import flow_matching_loss, interpolate, sample_time
from attm_core.training.loop import fit
from attm_core.training.null_dropout import NullConfig, draw_nulls, null_score, null_text
from attm_core.training.objective import TrainConfig, TrainResult, device_of

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class SFTConfig:
    """Stage 1 as published: 200 K updates, effective batch 64, nulls 0.1.

    Attributes:
        train: length, optimiser, averages.
        batch_size: clips an update, over all processes and accumulation steps.
        nulls: condition dropout.
        seed: of rows, latents, noise, times and nulls.
    """

    train: TrainConfig = field(default_factory=lambda: TrainConfig(n_steps=200_000))
    batch_size: int = 64
    nulls: NullConfig = field(default_factory=NullConfig)
    seed: int = 42


@dataclass(frozen=True)
class SFTDraw:
    """The randomness of one step, batch axis first."""

    rows: Int[Tensor, " B"]
    epsilon: Float[Tensor, "B N C"]
    noise: Float[Tensor, "B N C"]
    t: Float[Tensor, " B"]
    no_text: Bool[Tensor, " B"]
    no_score: Bool[Tensor, " B"]


class SFTObjective:
    """Flow matching under text and score (an `attm_core.training.objective.Objective`).

    Args:
        model: the backbone, for its normalisation and its null text.
        source: training clips.
        config: batch size, nulls, seed.
    """

    def __init__(self, model: FluxAudio, source: ClipSource, config: SFTConfig) -> None:
        self.model, self.source, self.config = model, source, config
        self.batch_size = config.batch_size
        self._sampler = RowSampler(source, config.batch_size, config.seed)

    def describe(self) -> Mapping[str, Any]:
        """What a resumed run must share."""
        own = {name: value for name, value in asdict(self.config).items() if name != "train"}
        return {"stage": "sft", "data": self.source.digest(), **own}

    def draw(self, step: int) -> SFTDraw:
        """Rows, latents' ε, noise, times and nulls of step ``step``."""
        generator = torch_generator(self.config.seed, "sft", step)
        shape = (self.batch_size, *self.source.latent_shape)
        epsilon, noise = torch.randn(2, *shape, generator=generator)
        t = sample_time(self.batch_size, generator)
        nulls = draw_nulls(self.config.nulls, self.batch_size, generator)
        return SFTDraw(self._sampler.rows(step), epsilon, noise, t, *nulls)

    def losses(self, velocity: nn.Module, draw: SFTDraw) -> Mapping[str, Tensor]:
        """The flow-matching loss of each sample (B,)."""
        device = device_of(self.model)
        batch = self.source.at(draw.rows, draw.epsilon).to(device)
        conditions = null_text(self.model, batch.conditions, draw.no_text.to(device))
        s = null_score(self.model, batch.score, draw.no_score.to(device))
        x_0, x_1, t = self.model.normalize(batch.latents), draw.noise.to(device), draw.t.to(device)
        v = velocity(interpolate(x_0, x_1, t), t, conditions, s)
        return {"loss": flow_matching_loss(v, x_0, x_1)}


class ValidationLoss:
    """The flow-matching loss on held-out clips with every draw fixed, so that models compare.

    Each clip keeps its ε, its noise and its time whatever the model, the step and the batch size;
    text and score are given. Computed in float32.

    Args:
        valid: held-out clips.
        seed: of the fixed draws.
        batch_size: clips a forward pass (memory only).
        n_draws: draws of noise and time a clip.
    """

    def __init__(
        self, valid: LatentSet, seed: int = 0, batch_size: int = 64, n_draws: int = 1
    ) -> None:
        self.valid, self.seed, self.batch_size, self.n_draws = valid, seed, batch_size, n_draws

    @torch.no_grad()
    def __call__(self, model: FluxAudio) -> float:
        """The mean loss of ``model`` over clips and draws."""
        total = 0.0
        for draw in range(self.n_draws):
            generator = torch_generator(self.seed, "validation", draw)
            n = len(self.valid)
            epsilon, noise = torch.randn(2, n, *self.valid.latent_shape, generator=generator)
            # Quantiles of the logit-normal in a random order: one clip in each slice of time.
            places = (torch.randperm(n, generator=generator) + 0.5) / n
            t = torch.sigmoid(torch.special.ndtri(places.double())).float()
            for rows in torch.arange(n).split(self.batch_size):
                total += self._sum(model, rows, epsilon[rows], noise[rows], t[rows])
        return total / (len(self.valid) * self.n_draws)

    def _sum(
        self, model: FluxAudio, rows: Tensor, epsilon: Tensor, noise: Tensor, t: Tensor
    ) -> float:
        device = device_of(model)
        batch = self.valid.at(rows, epsilon).to(device)
        noise, t = noise.to(device), t.to(device)
        x_0 = model.normalize(batch.latents)
        v = model(interpolate(x_0, noise, t), t, batch.conditions, null_score(model, batch.score))
        return float(flow_matching_loss(v, x_0, noise).double().sum())


def train_sft(
    model: FluxAudio,
    train: LatentSet,
    valid: LatentSet | None,
    config: SFTConfig,
    folder: Path,
    description: str = "SFT",
    accelerator: Accelerator | None = None,
) -> TrainResult:
    """Stage 1: train ``model`` in place, from scratch; resumes from ``folder``.

    The latent statistics of ``model`` are set from ``train`` first. ``model`` ends with the raw
    weights; `attm_core.training.ema.load_ema` gives the averaged ones of any σ_rel.

    Args:
        model: a freshly initialised backbone; without score head it becomes the baseline.
        train: training clips with their rewards.
        valid: held-out clips for the validation loss, or None.
        config: the stage's configuration.
        folder: the run's own.
        description: what the progress line says.
        accelerator: for several processes, see `attm_core.training.loop.fit`.
    """
    # PAPER-SILENT: EMA is stated for Stage 1, but not which weights Stage 2 starts from; the
    # released scripts go on from the raw ones (K-6).
    model.set_latent_statistics(*train.statistics())
    objective = SFTObjective(model, train, config)
    validate = None if valid is None else partial(ValidationLoss(valid), model)
    return fit(model, objective, config.train, folder, validate, description, accelerator)
