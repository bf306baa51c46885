"""Section III-D(c): "top decile", "upper 20 %", "oversampled", "brief", in numbers."""

from __future__ import annotations

import math

from scipy import stats

from attm_companion.ledger.checks.arithmetic import holds
from attm_companion.ledger.checks.score_sweep import deviations
from attm_companion.ledger.evidence import Result, Verdict
from attm_companion.ledger.release.audit import Audit
from attm_companion.paper_numbers import Paper


def kept_share(paper: Paper) -> float:
    """Share of the samples that is kept."""
    return paper["hyper.stage2.n_kept"] / paper["hyper.stage2.n_samples"]


def visits(paper: Paper) -> dict[str, float]:
    """How often one kept clip is seen in the mixture phase and in the polish."""
    kept, clips = paper["hyper.stage2.n_kept"], paper["hyper.data.clips"]
    batch, times = paper["hyper.stage1.batch_size"], paper["hyper.stage2.oversampling"]
    share = times * kept / (clips + times * kept)
    mixture = paper["hyper.stage2.updates"] * batch * share / kept
    polish = paper["hyper.stage2.polish_updates"] * batch / kept
    return {
        "share_of_mixture": share,
        "mixture": mixture,
        "polish": polish,
        "share_in_polish": polish / (polish + mixture),
        "stage1": paper["hyper.stage1.updates"] * batch / clips,
    }


def decile(paper: Paper) -> Result:
    """The kept share against a tenth."""
    share, stated = kept_share(paper), paper["text.decile_share"]
    close = abs(share - stated) < 0.02
    tenth = stated * paper["hyper.stage2.n_samples"]
    otherwise: Verdict = "holds_loosely" if close else "contradicted"
    return holds(share == stated, otherwise), {"share": share, "decile": tenth}


def upper_fifth(paper: Paper) -> Result:
    """Share of the training distribution at or above the kept clips' mean, three ways."""
    z = deviations(paper, paper["text.kept_reward_mean"])
    normal = float(stats.norm.sf(z))
    close = abs(normal - paper["text.kept_upper_share"]) <= 0.05
    return "holds_loosely" if close else "contradicted", {
        "share_normal": normal,
        "share_any_law_at_most": 1 / (1 + z * z),  # Cantelli's inequality
        "upper_share_with_this_mean": upper_share_with_mean(z),
    }


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


def brief_polish(paper: Paper) -> Result:
    """Passes over the kept clips in the polish."""
    seen = visits(paper)
    share = paper["hyper.stage2.polish_updates"] / paper["hyper.stage1.updates"]
    return holds(seen["polish"] <= 100, "ambiguous"), {**seen, "share_of_stage1": share}


def oversampling_weight(paper: Paper) -> Result:
    """Weight of the kept clips in the mixture, and where they are seen."""
    return None, dict(visits(paper))


def kept_mean_predicted(paper: Paper, audit: Audit) -> Result:
    """Mean reward of the best 64 of 600 under an even blend with independent CLAP scores."""
    share = kept_share(paper)
    intensity = float(stats.norm.pdf(stats.norm.isf(share))) / share
    sd = audit["scores.reward.systems.sub1.sd"]
    predicted = paper["fig2.sft_reward_s2"] + intensity * math.sqrt(0.5) * sd
    return None, {"share": share, "predicted": predicted}
