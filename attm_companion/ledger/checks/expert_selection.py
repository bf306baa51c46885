"""Section III-D(c): "top decile", "upper 20 %", "oversampled", "brief", in numbers."""

from __future__ import annotations

import math

from scipy import stats

from attm_companion.ledger.evidence import Evidence, Outcome
from attm_companion.ledger.registry import check
from attm_companion.paper_numbers import Paper


def kept_share(paper: Paper) -> float:
    """Share of the samples that is kept."""
    return paper["hyper.stage2.n_kept"] / paper["hyper.stage2.n_samples"]


def visits(paper: Paper) -> dict[str, float]:
    """How often one kept clip is seen in the mixture phase and in the polish."""
    kept, clips = paper["hyper.stage2.n_kept"], paper["hyper.data.clips"]
    batch = paper["hyper.stage1.batch_size"]
    weight = (
        paper["hyper.stage2.oversampling"]
        * kept
        / (clips + paper["hyper.stage2.oversampling"] * kept)
    )
    return {
        "share_of_mixture": weight,
        "in_mixture": paper["hyper.stage2.updates"] * batch * weight / kept,
        "in_polish": paper["hyper.stage2.polish_updates"] * batch / kept,
        "in_stage1": paper["hyper.stage1.updates"] * batch / clips,
    }


@check("C46")
def decile(evidence: Evidence) -> Outcome:
    """64 of about 600 against a tenth."""
    paper = evidence.paper
    share, decile_share = kept_share(paper), paper["text.decile_share"]
    return Outcome(
        "holds" if share == decile_share else "holds_loosely" if abs(share - decile_share) < 0.02
        else "contradicted",
        f"{paper['hyper.stage2.n_kept']:.0f} of about {paper['hyper.stage2.n_samples']:.0f} is "
        f"{share:.1%}; a decile would be {decile_share * paper['hyper.stage2.n_samples']:.0f}, or "
        f"{paper['hyper.stage2.n_kept'] / decile_share:.0f} samples.",
        {"share": share},
    )  # fmt: skip


@check("C62")
def sampling_score(evidence: Evidence) -> Outcome:
    """S = 2.0 among the training scores."""
    paper = evidence.paper
    z = (paper["hyper.stage2.s"] - paper["text.reward_mean"]) / paper["text.reward_std"]
    inside = paper["text.reward_p95"] < paper["hyper.stage2.s"] < paper["text.reward_max"]
    return Outcome(
        "holds" if inside else "ambiguous",
        f"s = {paper['hyper.stage2.s']:.1f} lies between p95 and the maximum of the training "
        f"scores ({z:.1f} deviations above the mean), where Fig. 2 still rises; the samples are "
        "not public.",
        {"deviations_above_mean": z},
    )


@check("C63")
def upper_fifth(evidence: Evidence) -> Outcome:
    """Share of the training distribution at or above +1.05, three ways."""
    paper, kept = evidence.paper, evidence.paper["text.kept_reward_mean"]
    z = (kept - paper["text.reward_mean"]) / paper["text.reward_std"]
    normal = float(stats.norm.sf(z))
    cantelli = 1 / (1 + z * z)
    public = evidence.audit["tracks.jamendo.share_at_or_above.kept_mean"]
    claimed = paper["text.kept_upper_share"]
    return Outcome(
        "holds_loosely" if abs(normal - claimed) <= 0.05 else "contradicted",
        f"Under a normal law with the printed mean and deviation {normal:.1%} lie above "
        f"{kept:+.2f} (any law: {0.05:.0%} to {cantelli:.0%}, as p95 is above it); among the "
        f"public track scores it is {public:.1%}, on another scale. As the mean of a group it "
        f"would match the upper {upper_share_with_mean(z):.0%}.",
        {"share_normal": normal, "share_any_law_at_most": cantelli, "share_public_tracks": public,
         "upper_share_with_this_mean": upper_share_with_mean(z)},
    )  # fmt: skip


def upper_share_with_mean(z: float) -> float:
    """The upper share p of a standard normal law whose mean is ``z``: φ(Φ⁻¹(1−p))/p = z.

    >>> round(upper_share_with_mean(0.7978845608), 3)
    0.5
    """
    low, high = 1e-6, 1 - 1e-6
    for _ in range(60):
        p = (low + high) / 2
        mean = float(stats.norm.pdf(stats.norm.isf(p))) / p
        low, high = (p, high) if mean > z else (low, p)
    return (low + high) / 2


@check("C65")
def brief_polish(evidence: Evidence) -> Outcome:
    """Passes over the 64 clips in the polish."""
    seen = visits(evidence.paper)
    share = evidence.paper["hyper.stage2.polish_updates"] / evidence.paper["hyper.stage1.updates"]
    return Outcome(
        "ambiguous" if seen["in_polish"] > 100 else "holds",
        f"Brief in updates ({share:.1%} of Stage 1), not in passes: each clip is seen "
        f"{seen['in_polish']:,.0f} times, a Stage-1 clip {seen['in_stage1']:.0f} times. No script "
        "of the polish is public.",
        {"passes_polish": seen["in_polish"], "passes_stage1": seen["in_stage1"]},
    )


@check("C133")
def oversampling_weight(evidence: Evidence) -> Outcome:
    """Weight of the kept clips in the 30 K-step mixture."""
    seen = visits(evidence.paper)
    share = seen["in_polish"] / (seen["in_polish"] + seen["in_mixture"])
    return Outcome(
        "contradicted" if seen["share_of_mixture"] < 0.01 else "holds",
        f"They make up {seen['share_of_mixture']:.2%} of the mixture, so a kept clip is seen "
        f"{seen['in_mixture']:.0f} times in 30 K steps and {seen['in_polish']:,.0f} times in the "
        f"polish, {share:.1%} of all. Most of what 30 K steps at a tenth of the rate did may be "
        "plain further training; no such control is printed.",
        {"share_of_mixture": seen["share_of_mixture"], "visits_in_mixture": seen["in_mixture"],
         "visits_in_polish": seen["in_polish"], "share_in_polish": share},
    )  # fmt: skip


@check("C140")
def kept_mean_predicted(evidence: Evidence) -> Outcome:
    """Mean reward of the best 64 of 600 under an even blend with independent CLAP scores."""
    paper = evidence.paper
    share = kept_share(paper)
    intensity = float(stats.norm.pdf(stats.norm.isf(share))) / share
    sd = evidence.audit["scores.reward.systems.sub1.sd"]
    predicted = paper["fig2.sft_reward_s2"] + intensity * math.sqrt(0.5) * sd
    gap = abs(predicted - paper["text.kept_reward_mean"])
    return Outcome(
        "holds" if gap < 0.1 else "holds_loosely" if gap < 0.25 else "ambiguous",
        f"From Fig. 2's mean at s = 2 and the public spread, selection of {share:.1%} predicts "
        f"{predicted:+.2f}; printed is {paper['text.kept_reward_mean']:+.2f}. Assumes normal, "
        "uncorrelated scores and the spread of Sub. 1.",
        {"predicted": predicted, "selection_intensity": intensity},
    )
