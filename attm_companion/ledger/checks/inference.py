"""Eqs. (1) and (2), the sampler's schedule, and the wording around them."""

from __future__ import annotations

import math
from itertools import pairwise

from attm_companion.ledger.evidence import Evidence, Outcome
from attm_companion.ledger.registry import check


@check("C68")
def effective_beta(evidence: Evidence) -> Outcome:
    """β of Eq. (1) against the factor in front of loss differences in TangoFlux."""
    beta = evidence.paper["hyper.stage3.beta"]
    # A log-ratio of a flow model is replaced by a difference of losses; TangoFlux puts −β/2 there.
    saturation = 2 * math.log(9) / beta
    return Outcome(
        "holds_loosely",
        f"TangoFlux has β = {beta:.0f} too, but in front of half a difference of flow-matching "
        "losses, not of log-ratios as Eq. (1) prints; there a loss difference of "
        f"{saturation:.4f} already settles a pair at 90 %.",
        {"beta": beta, "factor_of_loss_difference": beta / 2, "loss_difference_at_90": saturation},
    )


@check("C155")
def beta_and_magnitude(evidence: Evidence) -> Outcome:
    """The difference of log-ratios at which Eq. (1) is settled, for the printed β."""
    beta = evidence.paper["hyper.stage3.beta"]
    settled = math.log(9) / beta
    return Outcome(
        "contradicted" if settled < 0.1 else "holds",
        f"With β = {beta:.0f} a difference of {settled:.4f} settles a pair at 90 %, and the "
        "gradient of a difference of 1 vanishes: a large β suits ratios that are small. In "
        "practice they are differences of mean squared errors, which are small, so the value is "
        "reasonable and only the sentence's reason is the other way round.",
        {"difference_at_90": settled},
    )


@check("C69")
def regularizer(evidence: Evidence) -> Outcome:
    """Gradient of both terms of Eq. (1) at the reference, for a scalar model."""
    # One winner x, model θ, loss (θ − x)²; reference θ_ref. The second term is λ·(θ − x)².
    reference, winner = 0.0, 1.0
    gradient = 2 * evidence.paper["hyper.stage3.lambda_fm"] * (reference - winner)
    return Outcome(
        "contradicted" if gradient != 0 else "holds",
        f"The term holds no π_ref: its gradient at the reference is {gradient:+.1f} in the "
        "smallest example (winner at distance 1), so it pulls toward the winners; what ties the "
        "policy to the reference is the ratio in the first term. In effect it keeps winners "
        "likely, which may be what is meant.",
        {"gradient_at_reference": gradient},
    )


@check("C72")
def joint_guidance(evidence: Evidence) -> Outcome:
    """Eq. (2) against the form the code uses, w·v_c + (1 − w)·v_u."""
    import torch

    from attm_core.generation.guidance import joint_guidance as guide

    w = evidence.paper["hyper.inference.w"]
    v_c, v_u = torch.tensor([[[0.3, -1.2]]]), torch.tensor([[[1.1, 0.4]]])
    gap = float((guide(v_c, v_u, w) - (w * v_c + (1 - w) * v_u)).abs().max())
    return Outcome(
        "holds" if gap < 1e-5 else "contradicted",
        f"Both forms agree to {gap:.0e}; one scale lifts text and score together.",
        {"largest_gap": gap},
    )


@check("C76")
def schedule(evidence: Evidence) -> Outcome:
    """σ_i = 1 − i/25 against equal steps from 1 to 0."""
    n = round(evidence.paper["hyper.inference.n_steps"])
    sigma = [1 - i / n for i in range(n + 1)]
    steps = {round(a - b, 12) for a, b in pairwise(sigma)}
    fits = sigma[0] == 1 and sigma[-1] == 0 and len(steps) == 1
    return Outcome(
        "holds" if fits else "contradicted",
        f"{n} equal steps of {1 / n:.2f} from noise to data, as in the released sampler.",
        {"steps": n, "step": 1 / n},
    )


@check("C84")
def average_of_fad(evidence: Evidence) -> Outcome:
    """An average over prompts of a statistic that has one value a condition."""
    n = evidence.paper["text.sdd_prompts"]
    return Outcome(
        "contradicted",
        f"FAD is one value for {n:.0f} prompts together, as Section IV says itself, so it has no "
        "average over prompts; the choice of target was probably made on the one value.",
        {"fad_values_per_condition": 1, "prompts": n},
    )
