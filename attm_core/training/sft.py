"""Stage 1, score-conditioned SFT: flow matching with the reward as a condition (Section III-D(b)).

Every clip carries the ranker's reward, which the score head sees; text and score are nulled now and
then so that Eq. (2) can guide on both. The baseline is the same training of a backbone without a
score head. The later stages use the same objective on other data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from attm_core.backbone.flux_audio import FluxAudio
from attm_core.configuration import SFTConfig
from attm_core.errors import ConfigError
from attm_core.randomness import torch_generator
from attm_core.training import flow_matching as flow
from attm_core.training.data import ClipSource, LatentSet, RowSampler
from attm_core.training.ema import load_ema
from attm_core.training.loop import Objective, TrainResult, device_of, fit
from attm_core.training.run import Run


def sft(
    model: FluxAudio, train: LatentSet, valid: LatentSet | None, config: SFTConfig, run: Run
) -> TrainResult:
    """Stage 1: train ``model`` in place, from scratch; a killed run is taken up again.

    The latent statistics of ``model``, freshly initialised, are set from ``train`` first; without
    score head it becomes the baseline. ``valid`` are held-out clips for the validation loss.
    """
    model.set_latent_statistics(*train.statistics())
    label = f"SFT {model.config.score_head}"
    objective = SFTObjective(model, train, config, run.seed)
    return train_flow(model, objective, config, valid, run, label)


def train_flow(
    model: FluxAudio,
    objective: Objective[Any],
    config: SFTConfig,
    valid: LatentSet | None,
    run: Run,
    description: str,
) -> TrainResult:
    """Train the backbone with an objective and the validation loss of flow matching.

    Ends with the raw weights, or with the averaged ones of ``config.sigma_rel``.

    Raises:
        ConfigError: averaged weights are wanted, but none are tracked, or there is no folder.
    """
    if config.sigma_rel is not None and (run.folder is None or not config.sigma_rels):
        raise ConfigError("sigma_rel needs sigma_rels to track and a run with a folder")
    validate = None if valid is None else partial(validation_loss, model, valid)
    result = fit(model, objective, config, run, validate, description)
    if config.sigma_rel is not None and result.folder is not None:
        load_ema(model, result.folder / "ema", config.sigma_rel)
    return result


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
    """Flow matching under text and score (an `attm_core.training.loop.Objective`).

    ``model`` gives its normalisation and its null text; ``stream`` names the random stream of the
    steps: rows, latents, noise, times and nulls.
    """

    def __init__(
        self,
        model: FluxAudio,
        source: ClipSource,
        config: SFTConfig,
        seed: int = 42,
        stream: str = "sft",
    ) -> None:
        self.model, self.source, self.config = model, source, config
        self.seed, self.stream = seed, stream
        self._sampler = RowSampler(source, config.batch_size, seed)

    def describe(self) -> Mapping[str, Any]:
        """What a resumed run must share."""
        data = self.source.digest()
        return {"stage": self.stream, "data": data, "seed": self.seed, **asdict(self.config)}

    def draw(self, step: int) -> SFTDraw:
        """Rows, latents' ε, noise, times and nulls of step ``step``."""
        generator = torch_generator(self.seed, self.stream, step)
        batch_size = self.config.batch_size
        shape = (batch_size, *self.source.latent_shape)
        epsilon, noise = torch.randn(2, *shape, generator=generator)
        t = flow.sample_time(batch_size, generator)
        nulls = flow.draw_nulls(self.config.nulls, batch_size, generator)
        return SFTDraw(self._sampler.rows(step), epsilon, noise, t, *nulls)

    def losses(self, model: nn.Module, draw: SFTDraw) -> Mapping[str, Tensor]:
        """The flow-matching loss of each sample (B,)."""
        device = device_of(self.model)
        batch = self.source.at(draw.rows, draw.epsilon).to(device)
        conditions = flow.null_text(self.model, batch.conditions, draw.no_text.to(device))
        s = flow.null_score(self.model, batch.score, draw.no_score.to(device))
        x_0, x_1, t = self.model.normalize(batch.latents), draw.noise.to(device), draw.t.to(device)
        velocity = model(flow.interpolate(x_0, x_1, t), t, conditions, s)
        return {"loss": flow.flow_matching_loss(velocity, x_0, x_1)}


@torch.no_grad()
def validation_loss(
    model: FluxAudio, valid: LatentSet, seed: int = 0, batch_size: int = 64
) -> float:
    """The flow-matching loss on held-out clips with every draw fixed, so that models compare.

    Each clip keeps its ε, its noise and its time whatever the model, the step and the batch size;
    text and score are given. Computed in float32.
    """
    n, device, total = len(valid), device_of(model), 0.0
    generator = torch_generator(seed, "validation")
    epsilon, noise = torch.randn(2, n, *valid.latent_shape, generator=generator)
    # Quantiles of the logit-normal in a random order: one clip in each slice of time.
    places = (torch.randperm(n, generator=generator) + 0.5) / n
    times = torch.sigmoid(torch.special.ndtri(places.double())).float()
    for rows in torch.arange(n).split(batch_size):
        batch = valid.at(rows, epsilon[rows]).to(device)
        x_0, x_1, t = model.normalize(batch.latents), noise[rows].to(device), times[rows].to(device)
        s = flow.null_score(model, batch.score)
        velocity = model(flow.interpolate(x_0, x_1, t), t, batch.conditions, s)
        total += float(flow.flow_matching_loss(velocity, x_0, x_1).double().sum())
    return total / n
