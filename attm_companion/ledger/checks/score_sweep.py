"""Fig. 2 and Section IV-C: the score scalar at inference."""

from __future__ import annotations

from dataclasses import replace

from attm_companion.ledger.checks.arithmetic import delta
from attm_companion.ledger.evidence import Evidence, Outcome, Verdict
from attm_companion.ledger.registry import check


@check("C15")
def selection_and_test(evidence: Evidence) -> Outcome:
    """Whether the prompts on which s was chosen are those on which results are reported."""
    chosen, reported = evidence.paper["text.sdd_prompts"], evidence.paper["table2.n"]
    same = chosen == reported == evidence.paper["table3.n"]
    return Outcome(
        "contradicted" if same else "holds",
        "s, w and the loudness target were chosen on SDD-100, and Tables II and III report the "
        f"same {reported:.0f} prompts: they are a validation set, as III-E says, and not held out "
        "from the choice. The official score is on other prompts.",
        {"selection_prompts": chosen, "reported_prompts": reported},
    )


@check("C75")
def beyond_training(evidence: Evidence) -> Outcome:
    """S = 5 on the scale of the training rewards."""
    paper = evidence.paper
    s, top = paper["hyper.inference.s"], paper["text.reward_max"]
    z = (s - paper["text.reward_mean"]) / paper["text.reward_std"]
    return Outcome(
        "holds" if s > top else "contradicted",
        f"s = {s:.1f} is {s - top:.2f} above the largest training score and {z:.1f} deviations "
        "above the mean.",
        {"above_max": s - top, "deviations_above_mean": z},
    )


@check("C111")
def monotone_rise(evidence: Evidence) -> Outcome:
    """The rise in Fig. 2 beside the steering slope of Table I."""
    paper = evidence.paper
    span = paper["fig2.sft_rho_high_s"] - paper["fig2.sft_rho_low_s"]
    slope = delta(paper, "fig2.sft_reward_s0", "fig2.sft_reward_s2") / span
    table1 = paper["table1.v1.delta_out"] / (
        paper["table1.delta_out_high_s"] - paper["table1.delta_out_low_s"]
    )
    return Outcome(
        "holds_loosely" if slope > 0 else "contradicted",
        f"The ends give a slope of {slope:.3f} a unit of s, {slope / table1:.0%} of v1's "
        f"{table1:.3f} on Jamendo-100; ρ = 1 says that a handful of means is ordered, the number "
        "of points is not printed, and k points are ordered by chance once in k! times.",
        {"slope_fig2": slope, "slope_table1_v1": table1},
    )


@check("C112")
def bend(evidence: Evidence) -> Outcome:
    """The one printed SFT value beyond s = 3: Row 1 of Table II, at the deployed s."""
    paper = evidence.paper
    at_deployed, at_two = paper["table2.row1.reward"], paper["fig2.sft_reward_s2"]
    return Outcome(
        "holds_loosely" if at_deployed < at_two else "ambiguous",
        "No value past s = 3 is printed with the curve; Row 1, at s = "
        f"{paper['hyper.inference.s']:.0f}, has Reward {at_deployed:+.3f} against {at_two:+.2f} "
        "at s = 2, so it bends down if it is the same checkpoint.",
        {"reward_at_deployed_s": at_deployed, "reward_at_s2": at_two},
    )


@check("C114")
def flat_reward(evidence: Evidence) -> Outcome:
    """Text and caption bounds, and Table II's value at the deployed s."""
    paper = evidence.paper
    text, caption = (
        paper["fig2.hybrid_reward_range_text"],
        paper["fig2.hybrid_reward_range_caption"],
    )
    gap = abs(paper["table2.row4.reward"] - paper["fig2.hybrid_reward_s0"])
    fits = caption <= text and gap <= caption + paper.cell("fig2.hybrid_reward_s0").half_unit
    return Outcome(
        "holds" if fits else "contradicted",
        f"A range of {caption} is below {text}, and Table II's value at the deployed s is "
        f"{gap:.3f} from that at s = 0.",
        {"bound_text": text, "range_caption": caption, "distance_to_table2": gap},
    )


@check("C115")
def flat_fad(evidence: Evidence) -> Outcome:
    """The two printed FAD values against the bound."""
    paper = evidence.paper
    move = abs(delta(paper, "fig2.hybrid_fad_s0", "fig2.hybrid_fad_s5"))
    return Outcome(
        "holds" if move < paper["fig2.hybrid_fad_range"] else "contradicted",
        f"The two printed values differ by {move:.4f}; the other points would need a run, and the "
        "value at s = 5 is not that of Table II (C130).",
        {"difference": move, "bound": paper["fig2.hybrid_fad_range"]},
    )


@check("C116")
def within_seed_noise(evidence: Evidence) -> Outcome:
    """The FAD difference against the difference between the two seeds."""
    move = abs(delta(evidence.paper, "fig2.hybrid_fad_s0", "fig2.hybrid_fad_s5"))
    seeds = abs(delta(evidence.paper, "table2.row4.fad", "table2.sub2.fad"))
    return Outcome(
        "holds" if move < seeds else "contradicted",
        f"{move:.4f} against {seeds:.4f} between seeds 42 and 55.",
        {"difference": move, "seed_difference": seeds},
    )


@check("C117")
def any_score_beats_sft(evidence: Evidence) -> Outcome:
    """The lowest Sub. 1 can be against the highest printed SFT value."""
    paper = evidence.paper
    lowest = paper["fig2.hybrid_reward_s0"] - paper["fig2.hybrid_reward_range_caption"]
    printed = paper["fig2.sft_reward_s2"]
    return Outcome(
        "ambiguous" if lowest > printed else "contradicted",
        f"Sub. 1 is at least {lowest:+.2f} everywhere; SFT is {printed:+.2f} at s = 2, but its "
        f"peak (between s = 2 and the bend at {paper['fig2.sft_bend_s']:.0f}) is not printed and "
        f"has {lowest - printed:.2f} to spare.",
        {"sub1_lowest": lowest, "sft_at_s2": printed, "room": lowest - printed},
    )


@check("C118")
def absorbed_by(evidence: Evidence) -> Outcome:
    """CRPO's own share of the Reward gained since SFT at s = 2."""
    paper = evidence.paper
    crpo = delta(paper, "table2.row3.reward", "table2.row4.reward")
    return Outcome(
        "ambiguous",
        f"Fig. 2 sweeps the first and last checkpoint only, so where the response went flat is not "
        f"shown; CRPO changes Reward by {crpo:+.3f} and cannot have raised the level.",
        {"crpo_reward_change": crpo},
    )


@check("C119")
def null_score(evidence: Evidence) -> Outcome:
    """Where the null score lies among the training scores."""
    paper = evidence.paper
    z = (paper["hyper.backbone.score_null"] - paper["text.reward_mean"]) / paper["text.reward_std"]
    inside = paper["text.reward_p5"] < paper["hyper.backbone.score_null"] < paper["text.reward_p95"]
    return Outcome(
        "ambiguous" if inside else "holds",
        f"The null score is an ordinary value, {z:+.2f} deviations from the mean and between p5 "
        "and p95: a clip that truly scores 0 and a dropped score look alike, and the s = 0 pass "
        "is still guided by text and by w.",
        {"deviations_from_mean": z},
    )


@check("C137")
def null_inside_support(evidence: Evidence) -> Outcome:
    """The same distance, asked of the statement that the null is set apart."""
    outcome = null_score(evidence)
    verdict: Verdict = "contradicted" if outcome.verdict == "ambiguous" else "holds"
    return replace(outcome, verdict=verdict)


@check("C130")
def two_values_at_deployed(evidence: Evidence) -> Outcome:
    """FAD of the submitted condition in Table II and in Section IV-C."""
    paper = evidence.paper
    gap = abs(delta(paper, "fig2.hybrid_fad_s5", "table2.row4.fad"))
    crpo = abs(delta(paper, "table2.row3.fad", "table2.row4.fad"))
    same = gap <= paper.cell("table2.row4.fad").half_unit
    return Outcome(
        "holds" if same else "contradicted",
        f"{paper['table2.row4.fad']:.4f} and {paper['fig2.hybrid_fad_s5']:.4f} for one "
        f"checkpoint, score, seed and prompt set: {gap:.4f} apart, {gap / crpo:.0%} of CRPO's FAD "
        "gain. Unseeded separation shifts alone could do it (the released script draws them at "
        "random).",
        {"difference": gap, "share_of_crpo_gain": gap / crpo},
    )


@check("C144")
def head_room(evidence: Evidence) -> Outcome:
    """The submitted Reward among the scores of real music."""
    sdd = evidence.audit["tracks.sdd"]
    mean = evidence.audit["scores.reward.systems.sub1.mean"]
    above = sdd["share_at_or_above"]["mean_sub1"]
    return Outcome(
        "contradicted" if above > 0.5 else "holds",
        f"{above:.0%} of the {sdd['n']} Song Describer tracks score above Sub. 1's mean of "
        f"{mean:+.2f} (their mean is {sdd['mean']:+.2f}). The paper speaks of the scalar's "
        "head-room, not the model's, and tracks are scored whole and with the public ranker, so "
        "read this as context.",
        {"share_of_tracks_above": above, "sdd_mean": sdd["mean"], "sub1_mean": mean},
    )
