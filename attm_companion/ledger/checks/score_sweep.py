"""Fig. 2 and Section IV-C: the score scalar at inference."""

from __future__ import annotations

from attm_companion.ledger.checks.arithmetic import delta, holds
from attm_companion.ledger.checks.cumulative import seed_gap
from attm_companion.ledger.evidence import Result, Verdict
from attm_companion.paper_numbers import Paper


def deviations(paper: Paper, score: float) -> float:
    """A score in standard deviations above the mean of the training rewards."""
    return (score - paper["text.reward_mean"]) / paper["text.reward_std"]


def beyond_training(paper: Paper) -> Result:
    """The deployed score on the scale of the training rewards."""
    s, top = paper["hyper.inference.s"], paper["text.reward_max"]
    return holds(s > top), {"above_max": s - top, "deviations": deviations(paper, s)}


def bend(paper: Paper) -> Result:
    """The one printed SFT value beyond s = 3: Row 1 of Table II, at the deployed s."""
    at_deployed, at_two = paper["table2.row1.reward"], paper["fig2.sft_reward_s2"]
    verdict: Verdict = "holds_loosely" if at_deployed < at_two else "ambiguous"
    return verdict, {"change": round(at_deployed - at_two, 10)}


def flat_reward(paper: Paper) -> Result:
    """Text and caption bounds, and Table II's value at the deployed s."""
    text, caption = (paper[f"fig2.hybrid_reward_range_{end}"] for end in ("text", "caption"))
    at_zero = paper.cell("fig2.hybrid_reward_s0")
    gap = abs(paper["table2.row4.reward"] - at_zero.value)
    fits = caption <= text and gap <= caption + at_zero.half_unit
    return holds(fits), {"gap": round(gap, 10)}


def flat_fad(paper: Paper) -> Result:
    """The two printed FAD values against the bound, and the value at s = 5 against Table II."""
    move = abs(delta(paper, "fig2.hybrid_fad_s0", "fig2.hybrid_fad_s5"))
    gap = abs(delta(paper, "fig2.hybrid_fad_s5", "table2.row4.fad"))
    crpo = abs(delta(paper, "table2.row3.fad", "table2.row4.fad"))
    same = gap <= paper.cell("table2.row4.fad").half_unit
    share = gap / crpo if crpo else 0.0
    figures = {"difference": move, "gap": gap, "share_of_crpo": share}
    return holds(same and move < paper["fig2.hybrid_fad_range"]), dict(figures)


def within_seed_noise(paper: Paper) -> Result:
    """The FAD difference against the difference between the two seeds."""
    move = abs(delta(paper, "fig2.hybrid_fad_s0", "fig2.hybrid_fad_s5"))
    return holds(move < seed_gap(paper)), {"difference": move, "seeds": seed_gap(paper)}


def any_score_beats_sft(paper: Paper) -> Result:
    """The lowest Sub. 1 can be against the highest printed SFT value."""
    lowest = paper["fig2.hybrid_reward_s0"] - paper["fig2.hybrid_reward_range_caption"]
    room = lowest - paper["fig2.sft_reward_s2"]
    return "ambiguous" if room > 0 else "contradicted", {"lowest": lowest, "room": room}


def null_score(paper: Paper) -> Result:
    """Where the null score lies among the training scores."""
    null = paper["hyper.backbone.score_null"]
    inside = paper["text.reward_p5"] < null < paper["text.reward_p95"]
    return holds(not inside, "ambiguous"), {"deviations": deviations(paper, null)}
