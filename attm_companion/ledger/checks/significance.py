"""Which significance statements any correlation over prompts could support (Tables II and III).

The paper prints means only. Assumption: in every row the per-prompt deviations lie within the
range of the three systems whose scores are public. Then a paired t-test depends on one unknown, the
correlation r between the rows: the variance of the differences is 2·sd²·(1 − r).
"""

import math
from typing import NamedTuple

from scipy import stats

from attm_companion.ledger.checks.arithmetic import delta, holds
from attm_companion.ledger.checks.cumulative import PER_PROMPT, ROWS
from attm_companion.ledger.evidence import Result
from attm_companion.ledger.release.audit import Audit
from attm_companion.paper_numbers import Paper
from attm_companion.tables.conclusions import minimum_detectable_effect
from attm_core.evaluation.statistics import Alternative


class Bound(NamedTuple):
    """What can be said of a printed difference without its pairs."""

    change: float  # mean of the later row minus mean of the earlier one
    needed_r: float  # correlation from which on it is significant; −1: always; 1: never
    needed_sd: float  # per-prompt deviation of both rows above which r = −1 would hide it


def bound(
    paper: Paper, audit: Audit, before: str, after: str, metric: str, alternative: Alternative
) -> Bound:
    """Bound the paired test between two printed rows, with the largest public deviation.

    The test reaches α where |change| = t·√(2·sd²·(1 − r)/n).
    """
    change = delta(paper, f"{before}.{metric}", f"{after}.{metric}")
    n, alpha = round(paper["table2.n"]), paper["table2.alpha"]
    t = float(stats.t.isf(alpha / 2 if alternative == "two-sided" else alpha, n - 1))
    sd = max(system["sd"] for system in audit[f"scores.{metric}.systems"].values())
    size = max(change, 0.0) if alternative == "greater" else abs(change)
    needed = 1 - n * size**2 / (2 * t**2 * sd**2)
    return Bound(change, min(1.0, max(-1.0, needed)), size * math.sqrt(n) / (2 * t))


def _step(paper: Paper, audit: Audit, row: int, alternative: Alternative) -> dict[str, Bound]:
    ends = f"table2.row{row - 1}", f"table2.row{row}"
    return {m: bound(paper, audit, *ends, m, alternative) for m in PER_PROMPT}


def crpo_is_noise(paper: Paper, audit: Audit) -> Result:
    """How correlated prompts must be for CRPO's changes to be significant."""
    needed = {m: b.needed_r for m, b in _step(paper, audit, 4, "two-sided").items()}
    least = min(needed.values())
    return holds(least > 0.9, "ambiguous"), {**needed, "least": least}


def only_step_two(paper: Paper, audit: Audit) -> Result:
    """The step that "only" leaves out: baseline to SFT."""
    first = _step(paper, audit, 1, "greater")
    always = first["reward"].needed_r <= -1 or first["clap"].needed_r <= -1
    public = max(system["sd"] for system in audit["scores.reward.systems"].values())
    figures = {m: b.change for m, b in first.items()}
    figures |= {"needed_sd": first["reward"].needed_sd, "public_sd": public}
    figures["clap_needed_r"] = first["clap"].needed_r
    return "contradicted" if always else "ambiguous", dict(figures)


def later_steps_are_noise(paper: Paper, audit: Audit) -> Result:
    """Rows 2 → 3 and 3 → 4: one-sided as in the caption, and two-sided."""
    needed = {
        side: {
            f"row{row}_{m}": b.needed_r
            for row in (3, 4)
            for m, b in _step(paper, audit, row, side).items()
        }
        for side in ("greater", "two-sided")
    }
    one, two = (min(values.values()) for values in needed.values())
    return holds(min(one, two) > 0.9, "ambiguous"), {"one_sided": one, "two_sided": two}


def unmarked_cells(paper: Paper, audit: Audit) -> Result:
    """Cells of Table III without a star that are not significantly worse than Sub. 1."""
    bounds = {
        (row, m): bound(paper, audit, f"table3.{row}", "table3.sub1", m, "two-sided")
        for m in PER_PROMPT
        for row, cell in paper.column("table3", m).items()
        if not cell.mark and row != "sub1"
    }
    better = [key for key, b in bounds.items() if b.change < 0]
    names = [f"{paper.label(f'table3.{row}.label')} ({m})" for row, m in better]
    return holds(not better), {
        "unmarked": len(bounds),
        "better": len(better),
        "which": "; ".join(names) or "none",
        "open": sum(-1 < b.needed_r < 1 for b in bounds.values()),
    }


def power_at_100(paper: Paper, audit: Audit) -> Result:
    """The changes that a paired test on the paper's prompts finds with a power of 80 %."""
    found, n = {}, round(paper["table2.n"])
    for metric in PER_PROMPT:
        pair = audit[f"scores.{metric}.pairs.sub1_sub2"]
        sd = abs(pair["difference"] / pair["d_z"])
        found[metric] = minimum_detectable_effect(sd, n, paper["table2.alpha"])
    return None, dict(found)


def number_of_tests(paper: Paper) -> Result:
    """How many paired tests stand behind the marks of Tables II and III."""
    steps = (len(ROWS) - 1) * len(PER_PROMPT)
    cells = sum(row != "sub1" for m in PER_PROMPT for row in paper.column("table3", m))
    chance = (steps + cells) * paper["table3.alpha"]
    return None, {"table2": steps, "table3": cells, "all": steps + cells, "by_chance": chance}
