"""Table I: the five score heads on Jamendo-100, and what the text takes from them."""

import math
from functools import cache
from itertools import pairwise

import numpy as np

from attm_companion.ledger.checks.arithmetic import best_rows, delta, holds, rounds_to
from attm_companion.ledger.checks.cumulative import seed_gap
from attm_companion.ledger.evidence import Result
from attm_companion.paper_numbers import Paper
from attm_core.constants import HEADS
from attm_core.evaluation.frechet import frechet_distance
from attm_core.randomness import numpy_generator

METRICS = ("fad", "clap", "score_r", "delta_out")
Z_95 = 1.959963984540054
EMBEDDING_WIDTH, TOTAL_VARIANCE = 512, 0.5  # CLAP's; unit vectors spread by about so much


def _fads(paper: Paper) -> dict[str, float]:
    return {head: paper[f"table1.{head}.fad"] for head in HEADS}


def improvement_range(paper: Paper) -> Result:
    """The smallest and largest gain over the baseline against the printed range."""
    gains = {h: round(paper["table1.baseline.fad"] - fad, 10) for h, fad in _fads(paper).items()}
    low, high = min(gains.values()), max(gains.values())
    ends = [paper.cell(f"text.sft_fad_gain_{end}") for end in ("low", "high")]
    fits = rounds_to(low, ends[0]) and rounds_to(high, ends[1])
    return holds(fits), {"smallest": low, "largest": high, "v1": gains["v1"]}


def input_add_leads(paper: Paper) -> Result:
    """Whether v2 is best on the three metrics named (not on Δ_out, which is not named)."""
    leaders = {m: ", ".join(sorted(best_rows(paper.column("table1", m), m))) for m in METRICS}
    return holds(all(leaders[m] == "v2" for m in METRICS[:3])), dict(leaders)


def steering_slope(paper: Paper) -> Result:
    """Δ_out as a slope, and whether it orders the heads as the correlation does."""
    span = paper["table1.delta_out_high_s"] - paper["table1.delta_out_low_s"]
    slopes = {head: paper[f"table1.{head}.delta_out"] / span for head in HEADS}
    by_r = ", ".join(sorted(best_rows(paper.column("table1", "score_r"), "score_r")))
    by_slope = max(slopes, key=lambda head: slopes[head])
    figures = {f"slope_{head}": slope for head, slope in slopes.items()}
    same = by_r == by_slope
    return holds(same, "holds_loosely"), {"by_slope": by_slope, "by_r": by_r, **figures}


def full_mix_pair(paper: Paper) -> Result:
    """Which head the two reward-column runs belong to."""
    owners = [h for h, fad in _fads(paper).items() if fad == paper["text.instrumental_fad"]]
    gap = delta(paper, "text.instrumental_fad", "text.full_mix_fad")
    heads = ", ".join(owners) or "no head"
    return holds("v1" in owners, "holds_loosely"), {"gap": gap, "heads": heads}


def slight_edge(paper: Paper) -> Result:
    """How slight v2's edge over v1 is, on the scale of the sweep itself."""
    fads = _fads(paper)
    edge, spread = fads["v1"] - fads["v2"], max(fads.values()) - min(fads.values())
    share = edge / spread if spread else 0.0
    rank = sorted(fads.values()).index(fads["v1"]) + 1
    figures = {"edge": round(edge, 10), "share_of_spread": share, "v1_rank": rank}
    return "ambiguous" if share >= 0.5 else "holds_loosely", dict(figures)


def order_against_seeds(paper: Paper) -> Result:
    """Differences between neighbouring heads against the one seed difference that is printed."""
    ordered = sorted(_fads(paper).values())
    step = max(b - a for a, b in pairwise(ordered))
    return None, {"largest_step": round(step, 10), "seeds": seed_gap(paper)}


def correlation_lead(paper: Paper) -> Result:
    """Generations needed for v2's lead over the second-best r to be significant (Fisher's z)."""
    column = paper.column("table1", "score_r")
    rest = max(cell.value for head, cell in column.items() if head != "v2")
    gap = math.atanh(column["v2"].value) - math.atanh(rest)
    needed = 2 * (Z_95 / max(gap, 1e-3)) ** 2 + 3
    scores = math.ceil(needed / paper["text.jamendo_prompts"])
    return None, {"generations": needed, "input_scores": scores}


@cache
def frechet_bias(n: int, n_reference: int, decay: float) -> float:
    """FAD of ``n`` against ``n_reference`` draws of one normal law, where the true value is 0.

    The k-th largest variance of the law is proportional to k^−decay.
    """
    variances = np.arange(1, EMBEDDING_WIDTH + 1) ** -decay
    scale = np.sqrt(variances * TOTAL_VARIANCE / variances.sum())
    first, second = (
        numpy_generator(0, "ledger", "bias", part).standard_normal((rows, EMBEDDING_WIDTH)) * scale
        for part, rows in (("generated", n), ("reference", n_reference))
    )
    return round(frechet_distance(first, second), 3)


def pooled_scores(paper: Paper) -> Result:
    """What FAD gains from pooling two input scores instead of one, with nothing else changed."""
    n, reference = round(paper["text.jamendo_prompts"]), round(paper["text.sdd_reference_tracks"])
    figures: dict[str, float] = {}
    for name, decay in (("high", 1.0), ("low", 1.5)):
        one, two = (frechet_bias(rows, reference, decay) for rows in (n, 2 * n))
        figures |= {f"bias_{name}": one, f"drop_{name}": round(one - two, 3)}
    return None, dict(figures)
