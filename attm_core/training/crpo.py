"""Stage 3, CRPO: prefer the sample that fits its caption better (Section III-D(d), Eq. (1)).

Samples of one prompt are ranked by CLAP fit; the best and the worst become a pair. With per-sample
flow-matching losses L of the policy and L^ref of the frozen starting model, the log-likelihood
ratio of Eq. (1) is ``Δ_x = −½·(L_x − L^ref_x)`` up to a constant that cancels, so

    inside = β·(Δ_win − Δ_lose) = −½·β·[(L_w − L_l) − (L^ref_w − L^ref_l)]
    loss   = −log σ(inside) + λ_FM·L_w                                            Eq. (1)

Winner, loser, policy and reference see the same noise, time, score and dropped conditions:
anything else would enter the difference as if it were preference. `crpo` is the whole stage.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from attm_core.backbone.config import Conditions
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.configuration import BETA, LAMBDA_FM, CRPOConfig
from attm_core.errors import InputError
from attm_core.training.data import LatentSet
from attm_core.training.flow_matching import flow_matching_loss as flow_loss
from attm_core.training.flow_matching import interpolate, null_score, null_text
from attm_core.training.loop import device_of
from attm_core.training.own_samples import Sampling, as_clips, judged_samples
from attm_core.training.run import Run, tensors_digest
from attm_core.training.sft import SFTDraw, SFTObjective, train_flow

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CRPOResult:
    """What Stage 3 sampled, paired and did; the trained model is the one that was passed in."""

    prompts: list[str]
    latents: Float[Tensor, "p n N C"]  # n_per_prompt samples of each
    clap: NDArray[np.float64]  # CLAP similarity of each sample to its caption (p, n)
    pairs: PairRows
    log: pd.DataFrame  # a row per step


def crpo(
    model: FluxAudio,
    sampling: Sampling,
    valid: LatentSet | None,
    config: CRPOConfig,
    run: Run,
) -> CRPOResult:
    """Stage 3 as a whole, ``model`` in place: sample, rank, pair, train against a frozen copy.

    Samples and pairs are written to the run's folder first and read back. ``model`` is the
    cross-loaded Stage 2 model, ``valid`` are held-out clips for the validation loss.

    Raises:
        InputError: no prompt has two samples that differ in CLAP fit by more than the gap.
    """
    n = config.n_per_prompt
    prompts = sampling.prompts(config.n_prompts, run.seed, "crpo")
    repeated = [prompt for prompt in prompts for _ in range(n)]
    samples = judged_samples(model.eval(), sampling, repeated, config.s, run)
    clap = samples["clap"].double().numpy().reshape(-1, n)
    latents = samples["latents"].unflatten(0, (-1, n))

    chosen = build_pairs(clap, config.min_gap)
    if not len(chosen.prompts):
        raise InputError("nothing to prefer: samples tie in CLAP fit; lower min_gap or sample more")
    at, win, lose = map(torch.from_numpy, (chosen.prompts, chosen.winners, chosen.losers))

    def pairs() -> dict[str, Tensor]:
        text = sampling.encode([prompts[row] for row in chosen.prompts])  # once for both sides
        # PAPER-SILENT: which s winners and losers are trained under; the one they came from.
        winners = as_clips(latents[at, win], text, torch.full((len(at),), config.s))
        return {**winners.tensors(), "losers": latents[at, lose]}

    made = run.once("pairs.safetensors", pairs, tensors_digest([latents, at, win, lose]))
    losers = made.pop("losers")
    winners = LatentSet(**made)
    objective = CRPOObjective(model, winners, losers, config, run.seed)
    log = train_flow(model, objective, config.training, valid, run, "CRPO").log
    return CRPOResult(prompts, latents, clap, chosen, log)


@dataclass(frozen=True)
class PairRows:
    """Winner and loser among the samples of each of k usable prompts."""

    prompts: NDArray[np.intp]  # rows of the usable prompts (k,)
    winners: NDArray[np.intp]  # the sample with the highest CLAP score of each (k,)
    losers: NDArray[np.intp]  # that with the lowest (k,)
    n_skipped: int  # prompts without a pair: best and worst too close, or a score missing


def build_pairs(clap_scores: NDArray[np.floating[Any]], min_gap: float = 0.0) -> PairRows:
    """Pair the best with the worst of N samples by their CLAP scores (prompts, N).

    A prompt whose two are no further apart than ``min_gap``, or with a score NaN, gives no pair.

    Raises:
        InputError: there are not at least two samples per prompt.
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
    """Eq. (1) on pairs (an `attm_core.training.loop.Objective`).

    ``model`` is the policy at its starting weights; the frozen reference is a copy of it. Text and
    score of ``winners`` condition **both** sides, else the score head could tell winner from loser
    by its input. ``losers`` (n, N, C) are the others, row by row.
    """

    def __init__(
        self,
        model: FluxAudio,
        winners: LatentSet,
        losers: Float[Tensor, "n N C"],
        config: CRPOConfig,
        seed: int = 42,
    ) -> None:
        if winners.mean.shape != losers.shape:
            raise InputError(f"{len(winners)} winners do not match {len(losers)} losers")
        self.model, self.winners, self.losers, self.config = model, winners, losers, config
        self.reference = copy.deepcopy(model).requires_grad_(False).eval()
        self._sft = SFTObjective(model, winners, config.training, seed, "crpo")

    def describe(self) -> Mapping[str, Any]:
        """What a resumed run must share."""
        own = {"beta": self.config.beta, "lambda_fm": self.config.lambda_fm}
        return {**self._sft.describe(), "losers": tensors_digest([self.losers]), **own}

    def draw(self, step: int) -> SFTDraw:
        """Rows, noise, times and nulls of step ``step``: one of each per pair."""
        return self._sft.draw(step)

    def losses(self, model: nn.Module, draw: SFTDraw) -> Mapping[str, Tensor]:
        """Eq. (1) of each pair, its two terms, and whether the policy prefers the winner."""
        x_0, x_1, t, conditions, s = self._inputs(draw)
        x_t = interpolate(x_0, x_1, t)
        with torch.no_grad():
            frozen = flow_loss(self.reference(x_t, t, conditions, s), x_0, x_1)
        own = flow_loss(model(x_t, t, conditions, s), x_0, x_1)
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
        batch = self.winners.at(draw.rows, draw.epsilon).to(device)
        losers = self.losers[draw.rows].to(device)
        text = null_text(self.model, batch.conditions, draw.no_text.to(device))
        s = null_score(self.model, batch.score, draw.no_score.to(device))
        x_0 = self.model.normalize(torch.cat([batch.latents, losers]))
        x_1, t = draw.noise.to(device), draw.t.to(device)
        both = None if s is None else s.repeat(2)
        return x_0, x_1.repeat(2, 1, 1), t.repeat(2), text.repeat(2), both
