"""Table II: the deployed chain row by row, and the words "dominant" and "only"."""

from __future__ import annotations

from itertools import pairwise

from attm_companion.ledger.checks.arithmetic import (
    HIGHER_IS_BETTER,
    agrees,
    delta,
    rounds_to,
    wrong_bold,
)
from attm_companion.ledger.evidence import Evidence, Outcome
from attm_companion.ledger.registry import check
from attm_companion.paper_numbers import Paper

ROWS = ("row0", "row1", "row2", "row3", "row4")
METRICS = ("fad", "clap", "reward")


def steps(paper: Paper, metric: str) -> dict[str, float]:
    """Change of ``metric`` from each row to the next, by the later row."""
    pairs = pairwise(ROWS)
    return {b: delta(paper, f"table2.{a}.{metric}", f"table2.{b}.{metric}") for a, b in pairs}


@check("C10")
def dominant_step(evidence: Evidence) -> Outcome:
    """Whether the largest FAD step of the chain is expert iteration."""
    paper, fad = evidence.paper, steps(evidence.paper, "fad")
    expert, largest = fad["row2"], min(fad, key=lambda row: fad[row])
    printed = agrees(expert, paper.cell("text.expert_fad_delta"))
    dominant = largest == "row2"
    return Outcome(
        "holds" if dominant and printed else "contradicted",
        f"The step is {expert:+.4f}, {'as' if printed else 'not as'} printed; the largest step of "
        f"Table II is {paper.label(f'table2.{largest}.label')} with {fad[largest]:+.4f}, "
        f"{fad[largest] / expert:.1f} times as much. Among the steps after SFT it is the largest.",
        {"expert_iteration": expert, "score_conditioned_sft": fad["row1"],
         "ratio": fad["row1"] / expert},
    )  # fmt: skip


@check("C17")
def every_step_improves(evidence: Evidence) -> Outcome:
    """Signs of all twelve steps of Table II."""
    worse = [
        f"{evidence.paper.label(f'table2.{row}.label')} ({metric} {change:+.3f})"
        for metric in METRICS
        for row, change in steps(evidence.paper, metric).items()
        if (change > 0) != HIGHER_IS_BETTER[metric]
    ]
    return Outcome(
        "contradicted" if worse else "holds",
        f"{len(worse)} of {len(METRICS) * (len(ROWS) - 1)} steps go the wrong way: "
        f"{'; '.join(worse) or 'none'}.",
        {"steps": len(METRICS) * (len(ROWS) - 1), "wrong_way": len(worse)},
    )


@check("C90", "C91", "C92", "C93")
def rows_need_a_run(evidence: Evidence) -> Outcome:
    """Rows without public per-prompt scores or audio for all parts."""
    return Outcome(
        "not_checkable_here",
        "No per-prompt scores, audio or reference statistics of these values are public; they "
        "stand in both tables alike.",
        {"rows_with_public_scores": len(evidence.audit["scores.clap.systems"])},
    )


@check("C94")
def crpo_deltas(evidence: Evidence) -> Outcome:
    """The three printed deltas from the printed rows."""
    paper = evidence.paper
    deltas = {m: delta(paper, f"table2.row3.{m}", f"table2.row4.{m}") for m in METRICS}
    fits = all(
        rounds_to(deltas[m], paper.cell(f"text.crpo_{m}_delta"), paper.cell(f"table2.row4.{m}"))
        for m in METRICS
    )
    return Outcome(
        "holds" if fits else "contradicted",
        f"Computed: FAD {deltas['fad']:+.4f}, CLAP {deltas['clap']:+.3f}, "
        f"Reward {deltas['reward']:+.3f}.",
        deltas,
    )


@check("C99")
def one_protocol(evidence: Evidence) -> Outcome:
    """The demo's baseline against the protocol that all rows are said to share."""
    clips = evidence.audit["clips.systems.baseline"]
    gap = evidence.paper["table2.row0.clap"] - evidence.audit["scores.clap.systems.baseline.mean"]
    return Outcome(
        "ambiguous" if clips["on_target"] < clips["n"] else "holds",
        f"{clips['on_target']} of {clips['n']} public baseline clips are at the target loudness, "
        f"and their CLAP is {gap:.3f} below Row 0: either Row 0 is another run than the demo's "
        "baseline, or it was not processed alike. The demo page calls its baseline unprocessed.",
        {"baseline_clips_on_target": clips["on_target"], "clap_row0_minus_public": gap},
    )


@check("C100")
def best_submission(evidence: Evidence) -> Outcome:
    """Bold cells of Table II against the best values."""
    wrong = wrong_bold(evidence.paper, "table2", METRICS)
    return Outcome(
        "contradicted" if wrong else "holds",
        f"{len(METRICS) - len(wrong)} of {len(METRICS)} columns have exactly the best value in "
        "bold.",
        {"wrong_columns": ", ".join(wrong) or "none"},
    )


@check("C131")
def operating_point(evidence: Evidence) -> Outcome:
    """Expert iteration's Reward gain against SFT at its own better score settings."""
    paper = evidence.paper
    at_deployed, at_two = paper["table2.row1.reward"], paper["fig2.sft_reward_s2"]
    after = paper["table2.row2.reward"]
    stated, fair = round(after - at_deployed, 4), round(after - at_two, 4)
    return Outcome(
        "contradicted" if at_deployed < paper["fig2.sft_reward_s0"] else "holds",
        f"At the deployed s SFT scores {at_deployed:+.3f}, less than at s = 0 "
        f"({paper['fig2.sft_reward_s0']:+.2f}) or s = 2 ({at_two:+.2f}) in Fig. 2; against s = 2 "
        f"the gain is {fair:+.3f} instead of {stated:+.3f}. We may be wrong if Fig. 2 sweeps "
        "another SFT checkpoint than Row 1.",
        {"gain_stated": stated, "gain_against_sft_at_s2": fair, "sft_at_deployed_s": at_deployed},
    )


@check("C132")
def seed_spread(evidence: Evidence) -> Outcome:
    """Later FAD steps against the difference between two seeds of the same model."""
    fad = steps(evidence.paper, "fad")
    seeds = abs(delta(evidence.paper, "table2.row4.fad", "table2.sub2.fad"))
    inside = [row for row in ("row2", "row3", "row4") if abs(fad[row]) <= seeds]
    return Outcome(
        "contradicted" if inside else "holds",
        f"Two seeds differ by {seeds:.4f} FAD; {', '.join(inside) or 'no row'} moved less than "
        f"that, and expert iteration's {abs(fad['row2']):.4f} is {abs(fad['row2']) / seeds:.1f} "
        "times it. Two seeds give only a rough idea of the spread.",
        {"seed_difference": seeds, "steps_within": len(inside),
         "expert_over_seed": abs(fad["row2"]) / seeds},
    )  # fmt: skip


@check("C147")
def crpo_goal(evidence: Evidence) -> Outcome:
    """CLAP after CRPO against CLAP of the expert-iteration row whose weights it fine-tunes."""
    net = delta(evidence.paper, "table2.row2.clap", "table2.row4.clap")
    own = delta(evidence.paper, "table2.row3.clap", "table2.row4.clap")
    return Outcome(
        "holds" if net > 0 else "contradicted",
        f"CLAP changes by {own:+.3f} through CRPO itself and by {net:+.3f} from the v1 row that "
        "it starts from, because the switch to the v2 forward costs more than CRPO wins back; "
        "both are within noise.",
        {"clap_row2_to_row4": net, "clap_row3_to_row4": own},
    )


@check("C154")
def gain_by_protocol(evidence: Evidence) -> Outcome:
    """The same step, baseline to v1, in the protocols of Table I and Table II."""
    paper = evidence.paper
    jamendo = delta(paper, "table1.baseline.fad", "table1.v1.fad")
    sdd = delta(paper, "table2.row0.fad", "table2.row1.fad")
    ratio = sdd / jamendo
    return Outcome(
        "holds" if 0.5 <= ratio <= 2 else "contradicted",
        f"{jamendo:+.3f} FAD on Jamendo-100 and {sdd:+.4f} on SDD-706, {ratio:.1f} times as much. "
        "The paper warns that absolute values of the two do not compare; what makes the step so "
        "much larger (post-processing, s = 5, reference, Row 0 itself) is not told apart.",
        {"table1": jamendo, "table2": sdd, "ratio": ratio},
    )
