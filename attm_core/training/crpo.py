"""Stage 3, CRPO: prefer the sample that fits its caption better (Section III-D(d), Eq. (1)).

Samples of one prompt are ranked by CLAP fit; the best and the worst become a pair. With per-sample
flow-matching losses L of the policy and L^ref of the frozen starting model, the log-likelihood
ratio of Eq. (1) is ``Δ_x = −½·(L_x − L^ref_x)`` up to a constant that cancels, so

    inside = β·(Δ_win − Δ_lose) = −½·β·[(L_w − L_l) − (L^ref_w − L^ref_l)]
    loss   = −log σ(inside) + λ_FM·L_w                                            Eq. (1)

Winner, loser, policy and reference see the same noise, time, score and dropped conditions:
anything else would enter the difference as if it were preference.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from attm_core.backbone.config import Conditions
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.errors import InputError
from attm_core.randomness import torch_generator
from attm_core.training.data import LatentSet, RowSampler
from attm_core.training.flow_matching import flow_matching_loss, interpolate, sample_time
from attm_core.training.loop import fit
from attm_core.training.null_dropout import NullConfig, draw_nulls, null_score, null_text
from attm_core.training.objective import TrainConfig, TrainResult, device_of
from attm_core.training.optimisation import OptimConfig
from attm_core.training.sft import SFTDraw, ValidationLoss

if TYPE_CHECKING:
    from accelerate import Accelerator

BETA = 2000.0
LAMBDA_FM = 1.0


@dataclass(frozen=True)
class CRPOConfig:
    """Stage 3 as published: β 2000, λ_FM 1, lr 1e-6, 5 K updates.

    Attributes:
        train: length, optimiser, averages.
        batch_size: pairs an update.
        beta: sharpness of the preference.
        lambda_fm: weight of the winners' flow-matching loss.
        nulls: condition dropout, shared by both sides and by policy and reference.
        seed: of rows, noise, times and nulls.
    """

    # PAPER-SILENT: batch (8 pairs) and warm-up (100 steps) are those of the released script; the
    # batch of 64 is stated for Stage 1 only (K-7, K-8). So is bf16: here float32 is the default,
    # because β multiplies the rounding of bf16 weights into logits of order one, which drown what
    # steps of 1e-6 change (tests/training/test_crpo.py shows it).
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            5_000,
            optim=OptimConfig(lr=1e-6, warmup_steps=100, precision="fp32"),
            snapshot_every=500,
        )
    )
    batch_size: int = 8
    beta: float = BETA
    lambda_fm: float = LAMBDA_FM
    nulls: NullConfig = field(default_factory=NullConfig)
    seed: int = 42


@dataclass(frozen=True)
class PairRows:
    """Winner and loser among the samples of each usable prompt.

    Attributes:
        prompts: rows of the usable prompts (p,).
        winners: the sample with the highest CLAP score of each (p,).
        losers: the sample with the lowest (p,).
        n_skipped: prompts without a pair: all samples tied, or a score missing.
    """

    prompts: NDArray[np.intp]
    winners: NDArray[np.intp]
    losers: NDArray[np.intp]
    n_skipped: int


def build_pairs(clap_scores: NDArray[np.floating[Any]], min_gap: float = 0.0) -> PairRows:
    """Pair the best with the worst sample under each prompt by CLAP score.

    Args:
        clap_scores: (prompts, N) CLAP similarity of N samples of each prompt; NaN where a sample
            is missing.
        min_gap: prompts whose best and worst are no further apart than this give no pair.

    Raises:
        InputError: there are not at least two samples a prompt.
    """
    # PAPER-SILENT: the paper pairs "each high-CLAP sample with a low-CLAP sample"; this is the
    # largest against the smallest of N, the standard CRPO procedure that it cites.
    scores = np.asarray(clap_scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise InputError(f"clap_scores must be (prompts, N ≥ 2), not {scores.shape}")
    whole = np.isfinite(scores).all(axis=1)
    filled = np.where(whole[:, None], scores, 0.0)
    usable = whole & (filled.max(axis=1) - filled.min(axis=1) > min_gap)
    (prompts,) = usable.nonzero()
    chosen = scores[prompts]
    n_skipped = int(len(scores) - len(prompts))
    return PairRows(prompts, chosen.argmax(axis=1), chosen.argmin(axis=1), n_skipped)


@dataclass(frozen=True)
class PairSet:
    """Preference pairs: row i of both sets has the same caption.

    Generated latents are kept as they are (std 0), without a round trip through the codec.

    Attributes:
        winners: the preferred samples; their text features and scores condition **both** sides.
        losers: the others, row by row.

    Raises:
        InputError: the sets do not match.
    """

    # PAPER-SILENT: which s the pairs are trained at. One s for both sides, else the score head
    # could tell winner from loser by its input and the difference would not be preference.
    winners: LatentSet
    losers: LatentSet

    def __post_init__(self) -> None:
        if self.winners.mean.shape != self.losers.mean.shape:
            raise InputError(
                f"{tuple(self.winners.mean.shape)} winners do not match "
                f"{tuple(self.losers.mean.shape)} losers"
            )


def preference_logit(
    winner: Float[Tensor, " B"],
    loser: Float[Tensor, " B"],
    winner_ref: Float[Tensor, " B"],
    loser_ref: Float[Tensor, " B"],
    beta: float = BETA,
) -> Float[Tensor, " B"]:
    """``β·(Δ_win − Δ_lose)`` of Eq. (1) from the four flow-matching losses of each pair (B,)."""
    # PAPER-SILENT: how Δ, a log-likelihood ratio, is had from a flow. As in TangoFlux, whose β of
    # 2000 the paper takes over: minus one half of the difference in loss.
    return -0.5 * beta * ((winner - loser) - (winner_ref - loser_ref))


def crpo_loss(
    inside: Float[Tensor, " B"], winner: Float[Tensor, " B"], lambda_fm: float = LAMBDA_FM
) -> Float[Tensor, " B"]:
    """Eq. (1) per pair: ``−log σ(inside) + λ_FM·L_w``; the first term is ln 2 at the start."""
    return -nn.functional.logsigmoid(inside) + lambda_fm * winner


class CRPOObjective:
    """Eq. (1) on pairs (an `attm_core.training.objective.Objective`).

    Args:
        model: the policy at its starting weights, of which the frozen reference is a copy.
        pairs: preference pairs.
        config: β, λ_FM, batch size, nulls, seed.
    """

    def __init__(self, model: FluxAudio, pairs: PairSet, config: CRPOConfig) -> None:
        self.model, self.pairs, self.config = model, pairs, config
        self.reference = copy.deepcopy(model).requires_grad_(False).eval()
        self.batch_size = config.batch_size
        self._sampler = RowSampler(pairs.winners, config.batch_size, config.seed)

    def describe(self) -> Mapping[str, Any]:
        """What a resumed run must share."""
        own = {name: value for name, value in asdict(self.config).items() if name != "train"}
        data = [self.pairs.winners.digest(), self.pairs.losers.digest()]
        return {"stage": "crpo", "data": data, **own}

    def draw(self, step: int) -> SFTDraw:
        """Rows, noise, times and nulls of step ``step``: one of each a pair."""
        generator = torch_generator(self.config.seed, "crpo", step)
        shape = (self.batch_size, *self.pairs.winners.latent_shape)
        epsilon, noise = torch.randn(2, *shape, generator=generator)
        t = sample_time(self.batch_size, generator)
        nulls = draw_nulls(self.config.nulls, self.batch_size, generator)
        return SFTDraw(self._sampler.rows(step), epsilon, noise, t, *nulls)

    def losses(self, velocity: nn.Module, draw: SFTDraw) -> Mapping[str, Tensor]:
        """Eq. (1) of each pair, its two terms, and whether the policy prefers the winner."""
        x_0, x_1, t, conditions, s = self._inputs(draw)
        x_t = interpolate(x_0, x_1, t)
        with torch.no_grad():
            frozen = flow_matching_loss(self.reference(x_t, t, conditions, s), x_0, x_1)
        own = flow_matching_loss(velocity(x_t, t, conditions, s), x_0, x_1)
        (winner, loser), (winner_ref, loser_ref) = own.chunk(2), frozen.chunk(2)
        inside = preference_logit(winner, loser, winner_ref, loser_ref, self.config.beta)
        return {
            "loss": crpo_loss(inside, winner, self.config.lambda_fm),
            "preference": crpo_loss(inside, winner, 0.0).detach(),
            "winner_flow": winner.detach(),
            "implicit_accuracy": (inside.detach() > 0).float(),
        }

    def _inputs(self, draw: SFTDraw) -> tuple[Tensor, Tensor, Tensor, Conditions, Tensor | None]:
        """Winners above losers (2B, …), everything but the latents repeated."""
        device = device_of(self.model)
        self.reference.to(device)
        batch = self.pairs.winners.at(draw.rows, draw.epsilon).to(device)
        losers = self.pairs.losers.at(draw.rows, draw.epsilon).to(device)
        text = null_text(self.model, batch.conditions, draw.no_text.to(device))
        s = null_score(self.model, batch.score, draw.no_score.to(device))
        x_0 = self.model.normalize(torch.cat([batch.latents, losers.latents]))
        x_1, t = draw.noise.to(device), draw.t.to(device)
        both = None if s is None else s.repeat(2)
        return x_0, x_1.repeat(2, 1, 1), t.repeat(2), text.repeat(2), both


def train_crpo(
    model: FluxAudio,
    pairs: PairSet,
    config: CRPOConfig,
    folder: Path,
    valid: LatentSet | None = None,
    accelerator: Accelerator | None = None,
) -> TrainResult:
    """Stage 3: tune ``model`` in place on ``pairs``, against a frozen copy of it; resumes.

    Args:
        model: the cross-loaded Stage 2 model.
        pairs: preference pairs.
        config: the stage's configuration.
        folder: the run's own.
        valid: held-out clips for the validation loss, or None.
        accelerator: for several processes, see `attm_core.training.loop.fit`.
    """
    objective = CRPOObjective(model, pairs, config)
    validate = None if valid is None else partial(ValidationLoss(valid), model)
    return fit(model, objective, config.train, folder, validate, "CRPO", accelerator)
