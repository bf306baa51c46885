"""Section III-D(c): "top decile", "upper 20 %", "oversampled", "brief", in numbers."""

import math

from scipy import stats

from attm_companion.ledger.evidence import Result
from attm_companion.ledger.release.audit import Audit
from attm_companion.paper_numbers import Paper


def upper_fifth(paper: Paper) -> Result:
    """Share of the training distribution at or above the kept clips' mean, three ways."""
    z = (paper["text.kept_reward_mean"] - paper["text.reward_mean"]) / paper["text.reward_std"]
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


def kept_mean_predicted(paper: Paper, audit: Audit) -> Result:
    """Mean reward of the best 64 of 600 under an even blend with independent CLAP scores."""
    share = paper["hyper.stage2.n_kept"] / paper["hyper.stage2.n_samples"]
    intensity = float(stats.norm.pdf(stats.norm.isf(share))) / share
    sd = audit["scores.reward.systems.sub1.sd"]
    predicted = paper["fig2.sft_reward_s2"] + intensity * math.sqrt(0.5) * sd
    return None, {"share": share, "predicted": predicted}
