"""Which significance statements any correlation over prompts could support (Tables II and III).

The paper prints means only. Assumption: in every row the per-prompt deviations lie within the
range of the three systems whose scores are public. Then a paired t-test depends on one unknown, the
correlation r between the rows, and r runs from −1 to +1.
"""

from __future__ import annotations

from dataclasses import dataclass

from attm_companion.ledger.evidence import Evidence, Outcome
from attm_companion.ledger.registry import Check, check
from attm_companion.ledger.unpaired_bounds import (
    significance_under_any_correlation,
    smallest_significant_difference,
)
from attm_core.evaluation.statistics import Alternative

PER_PROMPT = ("clap", "reward")


@dataclass(frozen=True)
class Bound:
    """What can be said about one pair of rows.

    Attributes:
        change: mean of the later row minus mean of the earlier one.
        verdict: ``"always"``, ``"never"`` or ``"depends"`` over all correlations.
        needed_r: correlation from which on the change is significant; −1 if always, 1 if never.
        needed_sd: per-prompt deviation of both rows above which r = −1 would hide it.
    """

    change: float
    verdict: str
    needed_r: float
    needed_sd: float


def public_sd(evidence: Evidence, metric: str) -> tuple[float, float]:
    """Smallest and largest per-prompt deviation among the public systems."""
    systems = evidence.audit[f"scores.{metric}.systems"].values()
    values = [system["sd"] for system in systems]
    return min(values), max(values)


def bound(
    evidence: Evidence, before: str, after: str, metric: str, alternative: Alternative
) -> Bound:
    """Bound the paired test between two printed rows, with the largest public deviation."""
    paper = evidence.paper
    change = round(paper[f"{after}.{metric}"] - paper[f"{before}.{metric}"], 10)
    n, alpha = round(paper["table2.n"]), paper["table2.alpha"]
    _, sd = public_sd(evidence, metric)
    size = max(change, 0.0) if alternative == "greater" else abs(change)
    verdict = significance_under_any_correlation(size, sd, sd, n, alpha, alternative)
    unit = smallest_significant_difference(1.0, 1.0, n, -1.0, alpha, alternative)
    # Var of the differences is 2·sd²·(1−r), so the threshold scales with √((1−r)/2).
    needed = 1 - 2 * (size / (unit * sd)) ** 2
    return Bound(change, verdict, min(1.0, max(-1.0, needed)), size / unit)


@check("C13")
def crpo_is_noise(evidence: Evidence) -> Outcome:
    """How correlated prompts must be for CRPO's changes to be significant."""
    bounds = {m: bound(evidence, "table2.row3", "table2.row4", m, "two-sided") for m in PER_PROMPT}
    least = min(b.needed_r for b in bounds.values())
    plausible = evidence.audit["scores.clap.pairs.sub1_sub2.r"]
    return Outcome(
        "holds" if least > 0.9 else "ambiguous",
        f"The changes would be significant only if prompts correlated above r = {least:.3f}; two "
        f"seeds of the final model correlate at {plausible:.2f}.",
        {"needed_r_clap": bounds["clap"].needed_r, "needed_r_reward": bounds["reward"].needed_r,
         "r_between_seeds": plausible},
    )  # fmt: skip


@check("C95")
def only_step_two(evidence: Evidence) -> Outcome:
    """The step that "only" leaves out: baseline to SFT."""
    first = {m: bound(evidence, "table2.row0", "table2.row1", m, "greater") for m in PER_PROMPT}
    second = {m: bound(evidence, "table2.row1", "table2.row2", m, "greater") for m in PER_PROMPT}
    reward, clap = first["reward"], first["clap"]
    _, sd = public_sd(evidence, "reward")
    always = [m for m, b in first.items() if b.verdict == "always"]
    return Outcome(
        "contradicted" if always else "ambiguous",
        f"Step 1 moves Reward by {reward.change:+.3f}, which is significant at any correlation "
        f"unless per-prompt deviations exceed {reward.needed_sd:.2f} (public systems: at most "
        f"{sd:.2f}); CLAP {clap.change:+.3f} is if r > {clap.needed_r:.2f}. A dagger on Row 1 "
        "would be expected; if Row 1 was meant to be left untested, the caption and the word "
        "'only' do not say so.",
        {"row1_reward_change": reward.change, "row1_reward_needed_sd": reward.needed_sd,
         "row1_clap_needed_r": clap.needed_r, "row2_reward": second["reward"].verdict,
         "row2_clap_needed_r": second["clap"].needed_r},
    )  # fmt: skip


@check("C96")
def later_steps_are_noise(evidence: Evidence) -> Outcome:
    """Rows 2 → 3 and 3 → 4, one-sided as in the caption."""
    bounds = {
        f"{after}_{m}": bound(evidence, before, f"table2.{after}", m, "greater")
        for before, after in (("table2.row2", "row3"), ("table2.row3", "row4"))
        for m in PER_PROMPT
    }
    least = min(b.needed_r for b in bounds.values())
    return Outcome(
        "holds" if least > 0.9 else "ambiguous",
        f"None of the four changes could reach significance below r = {least:.3f} between prompts.",
        {f"needed_r_{name}": b.needed_r for name, b in bounds.items()},
    )


@check("C108")
def unmarked_cells(evidence: Evidence) -> Outcome:
    """Cells without a star that are not significantly worse than Sub. 1."""
    paper, sub1 = evidence.paper, "table3.sub1"
    cells = {m: paper.column("table3", m) for m in PER_PROMPT}
    unmarked = {
        (row, m): bound(evidence, f"table3.{row}", sub1, m, "two-sided")
        for m, column in cells.items()
        for row, cell in column.items()
        if not cell.mark and row != "sub1"
    }
    better = [f"{paper.label(f'table3.{row}.label')} ({m})"
              for (row, m), b in unmarked.items() if b.change < 0]  # fmt: skip
    pairs = evidence.audit["scores"]
    p = {m: pairs[m]["pairs"]["sub1_sub2"]["p_two_sided"] for m in PER_PROMPT}
    open_cells = sum(b.verdict == "depends" for b in unmarked.values())
    return Outcome(
        "contradicted" if better else "holds",
        f"Of {len(unmarked)} unmarked cells {len(better)} are better than Sub. 1, not worse: "
        f"{'; '.join(better)}; the public scores give p = {p['clap']:.2f} (CLAP) and "
        f"{p['reward']:.2f} (Reward) for Sub. 2, a tie. {open_cells} more depend on the "
        "correlation. If the caption means Stage rows only, it holds for them as far as can be "
        "bounded.",
        {"unmarked_cells": len(unmarked), "better_than_sub1": len(better),
         "sub2_clap_p": p["clap"], "sub2_reward_p": p["reward"], "depend_on_r": open_cells},
    )  # fmt: skip


@check("C97")
def submissions_are_siblings(evidence: Evidence) -> Outcome:
    """Whether the public scores of the two submissions differ significantly."""
    pairs = {m: evidence.audit[f"scores.{m}.pairs.sub1_sub2"] for m in PER_PROMPT}
    tied = all(pair["p_two_sided"] >= evidence.paper["table3.alpha"] for pair in pairs.values())
    clap, reward = pairs["clap"], pairs["reward"]
    return Outcome(
        "holds" if tied else "ambiguous",
        f"Over {clap['n']} prompts they differ by {clap['difference']:+.3f} CLAP "
        f"(p = {clap['p_two_sided']:.2f}) and {reward['difference']:+.3f} Reward "
        f"(p = {reward['p_two_sided']:.2f}), two-sided: what two seeds of one model would do.",
        {"clap_difference": clap["difference"], "clap_p": clap["p_two_sided"],
         "reward_difference": reward["difference"], "reward_p": reward["p_two_sided"],
         "clap_p_one_sided": clap["p_one_sided"]},
    )  # fmt: skip


@check("C98")
def submissions_beat_baseline(evidence: Evidence) -> Outcome:
    """Paired tests of both submissions against the public baseline."""
    tests = {
        f"{sub}_{m}": evidence.audit[f"scores.{m}.pairs.baseline_{sub}"]
        for sub in ("sub1", "sub2")
        for m in PER_PROMPT
    }
    worst = max(test["p_one_sided"] for test in tests.values())
    smallest = min(test["d_z"] for test in tests.values())
    return Outcome(
        "holds" if worst < evidence.paper["table2.alpha"] else "contradicted",
        f"All four paired tests agree: largest one-sided p = {worst:.1e}, smallest effect d_z = "
        f"{smallest:.2f}; the public baseline is unprocessed, so model and processing are not told "
        "apart.",
        {name: test["difference"] for name, test in tests.items()},
    )


@check("C87")
def baseline_row(evidence: Evidence) -> Outcome:
    """Row 0 against the public per-prompt scores of the baseline."""
    paper, scores = evidence.paper, evidence.audit["scores"]
    public = {m: scores[m]["systems"]["baseline"] for m in PER_PROMPT}
    z = {m: (paper[f"table2.row0.{m}"] - s["mean"]) / s["se"] for m, s in public.items()}
    apart = max(abs(value) for value in z.values()) > 3
    return Outcome(
        "contradicted" if apart else "holds",
        f"Public means are CLAP {public['clap']['mean']:.3f} and Reward "
        f"{public['reward']['mean']:+.3f}, printed {paper['table2.row0.clap']:.3f} and "
        f"{paper['table2.row0.reward']:+.3f} ({z['clap']:+.1f} and {z['reward']:+.1f} standard "
        "errors). The public baseline is unprocessed; if Row 0 was processed, that would have to "
        "raise CLAP and lower Reward by these amounts.",
        {"clap_public": public["clap"]["mean"], "reward_public": public["reward"]["mean"],
         "z_clap": z["clap"], "z_reward": z["reward"]},
    )  # fmt: skip


def _submission_row(row: str, system: str) -> Check:
    def row_matches_release(evidence: Evidence) -> Outcome:
        """A printed row against the means of the public per-prompt scores."""
        gaps, exact = {}, True
        for metric in PER_PROMPT:
            cell = evidence.paper.cell(f"table2.{row}.{metric}")
            mean = evidence.audit[f"scores.{metric}.systems.{system}.mean"]
            gaps[metric] = mean - cell.value
            exact &= abs(gaps[metric]) <= cell.half_unit
        close = max(abs(gap) for gap in gaps.values()) < 0.002
        return Outcome(
            "holds" if exact else "holds_loosely" if close else "contradicted",
            f"The public scores average {gaps['clap']:+.4f} CLAP and {gaps['reward']:+.4f} Reward "
            "from the printed values: more than rounding, less than the drift between library "
            "versions that the ranker's authors report.",
            {f"{metric}_public_minus_printed": gap for metric, gap in gaps.items()},
        )

    row_matches_release.__name__ = f"{system}_row_matches_release"
    return row_matches_release


check("C88")(_submission_row("row4", "sub1"))
check("C89")(_submission_row("sub2", "sub2"))
