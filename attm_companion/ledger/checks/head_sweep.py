"""Table I: the five score heads on Jamendo-100, and what the text takes from them."""

from __future__ import annotations

import math
from itertools import pairwise

from attm_companion.ledger.checks.arithmetic import best_rows, delta, rounds_to, wrong_bold
from attm_companion.ledger.evidence import Evidence, Outcome
from attm_companion.ledger.registry import Check, check
from attm_companion.paper_numbers import Paper

HEADS = ("v1", "v2", "v3", "v4", "v5")
Z_95 = 1.959963984540054
METRICS = ("fad", "clap", "score_r", "delta_out")


def fad_gains(paper: Paper) -> dict[str, float]:
    """FAD of the baseline minus FAD of each head."""
    return {head: delta(paper, f"table1.{head}.fad", "table1.baseline.fad") for head in HEADS}


@check("C08")
def improvement_range(evidence: Evidence) -> Outcome:
    """The smallest and largest gain against the printed range."""
    paper, gains = evidence.paper, fad_gains(evidence.paper)
    low, high = min(gains.values()), max(gains.values())
    fits = rounds_to(low, paper.cell("text.sft_fad_gain_low")) and rounds_to(
        high, paper.cell("text.sft_fad_gain_high")
    )
    return Outcome(
        "holds" if fits else "contradicted",
        f"The gains in Table I run from {low:.3f} to {high:.3f}; the deployed v1 has "
        f"{gains['v1']:.3f}.",
        {"smallest_gain": low, "largest_gain": high, "v1_gain": gains["v1"]},
    )


@check("C09")
def input_add_leads(evidence: Evidence) -> Outcome:
    """Whether v2 is best on the three metrics named (not on Δ_out, which is not named)."""
    leaders = {m: best_rows(evidence.paper.column("table1", m), m) for m in METRICS}
    leads = all(leaders[m] == {"v2"} for m in METRICS[:3])
    steer = ", ".join(sorted(leaders["delta_out"]))
    return Outcome(
        "holds" if leads else "contradicted",
        f"v2 {'leads' if leads else 'does not lead'} the three columns named; "
        f"on Δ_out, the fourth, {steer} leads.",
        {f"leader_{m}": ", ".join(sorted(rows)) for m, rows in leaders.items()},
    )


@check("C18")
def baseline_row(evidence: Evidence) -> Outcome:
    """The baseline's row can only be re-measured by running it."""
    fad, clap = evidence.paper["table1.baseline.fad"], evidence.paper["table1.baseline.clap"]
    return Outcome(
        "not_checkable_here",
        f"FAD {fad:.3f} and CLAP {clap:.3f} would need the 44.1 kHz baseline, which is not public.",
        {"fad": fad, "clap": clap},
    )


def _row_check(head: str) -> Check:
    def row_is_consistent(evidence: Evidence) -> Outcome:
        """The row against the gains of the text and the bounds of its own columns."""
        paper = evidence.paper
        gain = fad_gains(paper)[head]
        low, high = paper.cell("text.sft_fad_gain_low"), paper.cell("text.sft_fad_gain_high")
        inside = low.value - low.half_unit <= gain <= high.value + high.half_unit
        legal = abs(paper[f"table1.{head}.score_r"]) <= 1 and paper[f"table1.{head}.clap"] <= 1
        return Outcome(
            "holds" if inside and legal else "contradicted",
            f"The row fits the rest of the paper: FAD gain {gain:.3f} is within the range stated; "
            "its values themselves need a run.",
            {"fad_gain": gain, "score_r": paper[f"table1.{head}.score_r"],
             "delta_out": paper[f"table1.{head}.delta_out"]},
        )  # fmt: skip

    row_is_consistent.__name__ = f"row_{head}_is_consistent"
    return row_is_consistent


for _claim, _head in zip(("C19", "C20", "C21", "C22", "C23"), HEADS, strict=True):
    check(_claim)(_row_check(_head))


@check("C24")
def bold_is_best(evidence: Evidence) -> Outcome:
    """Bold cells of Table I against the best values."""
    wrong = wrong_bold(evidence.paper, "table1", METRICS)
    return Outcome(
        "contradicted" if wrong else "holds",
        f"{len(METRICS) - len(wrong)} of {len(METRICS)} columns have exactly the best value in "
        "bold.",
        {"columns": len(METRICS), "wrong_columns": ", ".join(wrong) or "none"},
    )


@check("C25")
def steering_slope(evidence: Evidence) -> Outcome:
    """Δ_out as a slope, and whether it orders the heads as score-r does."""
    paper = evidence.paper
    span = paper["table1.delta_out_high_s"] - paper["table1.delta_out_low_s"]
    slopes = {head: paper[f"table1.{head}.delta_out"] / span for head in HEADS}
    top_r = best_rows(paper.column("table1", "score_r"), "score_r")
    top_slope = max(slopes, key=lambda head: slopes[head])
    same = top_r == {top_slope}
    return Outcome(
        "holds" if same else "holds_loosely",
        f"Δ_out is a slope of {slopes['v1']:.2f} (v1) and {slopes['v2']:.2f} (v2) reward per unit "
        f"of s; it calls {top_slope} most steerable, whereas the correlation calls "
        f"{', '.join(sorted(top_r))} so.",
        {"span_s": span, **{f"slope_{head}": slope for head, slope in slopes.items()}},
    )


@check("C26")
def validation_size(evidence: Evidence) -> Outcome:
    """Jamendo-100 beside the 200 tracks said to be held out."""
    n, held = evidence.paper["text.jamendo_prompts"], evidence.paper["hyper.data.heldout_tracks"]
    return Outcome(
        "holds" if n == held else "ambiguous",
        f"The name says {n:.0f} items, Section III-D holds out {held:.0f} tracks for validation; "
        "which of them were used is not said.",
        {"jamendo_100": n, "heldout_tracks": held},
    )


@check("C27")
def full_mix_pair(evidence: Evidence) -> Outcome:
    """Which head the two reward-column runs belong to."""
    paper = evidence.paper
    instrumental = paper["text.instrumental_fad"]
    owners = [head for head in HEADS if paper[f"table1.{head}.fad"] == instrumental]
    gap = delta(paper, "text.instrumental_fad", "text.full_mix_fad")
    deployed = "v1" in owners
    return Outcome(
        "holds" if deployed else "holds_loosely",
        f"The gap is {gap:.3f}; the better value is that of {', '.join(owners) or 'no head'} in "
        "Table I, while the submitted chain was trained as v1.",
        {"gap": gap, "head_with_this_fad": ", ".join(owners) or "none"},
    )


@check("C28")
def slight_edge(evidence: Evidence) -> Outcome:
    """How slight v2's edge over v1 is, on the scale of the sweep itself."""
    column = evidence.paper.column("table1", "fad")
    values = [column[head].value for head in HEADS]
    edge = delta(evidence.paper, "table1.v2.fad", "table1.v1.fad")
    spread = max(values) - min(values)
    share = edge / spread if spread else 0.0
    return Outcome(
        "ambiguous" if share >= 0.5 else "holds_loosely",
        f"v2's edge of {edge:.3f} FAD is {share:.0%} of the spread of all five heads, in which v1 "
        f"ranks {sorted(values).index(column['v1'].value) + 1} of {len(values)}; "
        "no figure on stability is printed.",
        {"edge": edge, "spread": spread, "share_of_spread": share},
    )


@check("C148")
def order_against_seed_spread(evidence: Evidence) -> Outcome:
    """Differences between neighbouring heads against the one seed difference that is printed."""
    paper = evidence.paper
    ordered = sorted(paper[f"table1.{head}.fad"] for head in HEADS)
    largest_step = max(b - a for a, b in pairwise(ordered))
    seeds = abs(delta(paper, "table2.row4.fad", "table2.sub2.fad"))
    return Outcome(
        "ambiguous" if largest_step <= seeds else "holds",
        f"Neighbours in the ranking differ by at most {largest_step:.3f} FAD; two seeds of one "
        f"model differ by {seeds:.3f} in Table II (another reference, so only a hint), and no "
        "interval is printed.",
        {"largest_step": largest_step, "seed_difference_table2": seeds},
    )


@check("C157")
def correlation_lead(evidence: Evidence) -> Outcome:
    """Generations needed for v2's lead over the second-best r to be significant (Fisher's z)."""
    column = evidence.paper.column("table1", "score_r")
    rest = max(cell.value for head, cell in column.items() if head != "v2")
    gap = math.atanh(column["v2"].value) - math.atanh(rest)
    if gap <= 0:
        return Outcome("contradicted", "v2 does not lead in the correlation.", {"gap_z": gap})
    needed = 2 * (Z_95 / gap) ** 2 + 3
    levels = math.ceil(needed / evidence.paper["text.jamendo_prompts"])
    return Outcome(
        "ambiguous" if levels > 2 else "holds",
        f"Against the next best r the lead needs {needed:.0f} generations a head, that is {levels} "
        "input scores for 100 prompts; how many were swept is not printed (two are named). Assumes "
        "independent pairs; shared prompts would lower the number.",
        {"gap_z": gap, "generations_needed": needed, "input_scores_needed": levels},
    )
