"""Table II: the deployed chain row by row, and the words "dominant" and "only"."""

from __future__ import annotations

from itertools import pairwise

from attm_companion.ledger.checks.arithmetic import (
    HIGHER_IS_BETTER,
    delta,
    holds,
    rounds_to,
    wrong_bold,
)
from attm_companion.ledger.evidence import Result
from attm_companion.ledger.release.audit import Audit
from attm_companion.paper_numbers import Paper

ROWS = ("row0", "row1", "row2", "row3", "row4")
METRICS = ("fad", "clap", "reward")
PER_PROMPT = ("clap", "reward")


def steps(paper: Paper, metric: str) -> dict[str, float]:
    """Change of ``metric`` from each row to the next, by the later row."""
    pairs = pairwise(ROWS)
    return {b: delta(paper, f"table2.{a}.{metric}", f"table2.{b}.{metric}") for a, b in pairs}


def seed_gap(paper: Paper) -> float:
    """FAD between the two seeds of the submitted model."""
    return abs(delta(paper, "table2.row4.fad", "table2.sub2.fad"))


def dominant_step(paper: Paper) -> Result:
    """Whether the largest FAD step of the chain is expert iteration, and its Reward step."""
    fad, reward = steps(paper, "fad"), steps(paper, "reward")
    largest = min(fad, key=lambda row: fad[row])
    printed = rounds_to(fad["row2"], paper.cell("text.expert_fad_delta"))
    return holds(largest == "row2" and printed), {
        "expert": fad["row2"],
        "label": paper.label(f"table2.{largest}.label"),
        "largest": fad[largest],
        "ratio": fad[largest] / fad["row2"],
        "reward_expert": reward["row2"],
        "reward_sft": reward["row1"],
    }


def every_step_improves(paper: Paper) -> Result:
    """Signs of all steps of Table II."""
    worse = [
        f"{paper.label(f'table2.{row}.label')} ({metric} {change:+.3f})"
        for metric in METRICS
        for row, change in steps(paper, metric).items()
        if (change > 0) != HIGHER_IS_BETTER[metric]
    ]
    return holds(not worse), {"wrong": len(worse), "which": "; ".join(worse) or "none"}


def crpo_deltas(paper: Paper) -> Result:
    """The three printed deltas of CRPO from the printed rows."""
    deltas = {m: delta(paper, f"table2.row3.{m}", f"table2.row4.{m}") for m in METRICS}
    fits = all(
        rounds_to(deltas[m], paper.cell(f"text.crpo_{m}_delta"), paper.cell(f"table2.row4.{m}"))
        for m in METRICS
    )
    return holds(fits), dict(deltas)


def bold_is_best(paper: Paper) -> Result:
    """Bold cells of Table II against the best values."""
    wrong = wrong_bold(paper, "table2", METRICS)
    return holds(not wrong), {"columns": len(METRICS), "right": len(METRICS) - len(wrong)}


def one_protocol(paper: Paper, audit: Audit) -> Result:
    """The demo's baseline against the protocol that all rows are said to share."""
    clips = audit["clips.systems.baseline"]
    gap = paper["table2.row0.clap"] - audit["scores.clap.systems.baseline.mean"]
    return holds(clips["on_target"] == clips["n"], "ambiguous"), {"clap_gap": gap}


def baseline_row(paper: Paper, audit: Audit) -> Result:
    """Row 0 against the public per-prompt scores of the demo's baseline."""
    public = {m: audit[f"scores.{m}.systems.baseline"] for m in PER_PROMPT}
    z = {m: (paper[f"table2.row0.{m}"] - s["mean"]) / s["se"] for m, s in public.items()}
    figures = {f"z_{m}": value for m, value in z.items()}
    return holds(max(map(abs, z.values())) <= 3, "ambiguous"), dict(figures)


def row_matches_release(paper: Paper, audit: Audit, row: str, system: str) -> Result:
    """A printed row against the means of the public per-prompt scores."""
    cells = {m: paper.cell(f"table2.{row}.{m}") for m in PER_PROMPT}
    means = {m: audit[f"scores.{m}.systems.{system}.mean"] for m in PER_PROMPT}
    gaps = {m: means[m] - cell.value for m, cell in cells.items()}
    exact = all(abs(gaps[m]) <= cell.half_unit for m, cell in cells.items())
    close = max(map(abs, gaps.values())) < 0.002
    return holds(exact, "holds_loosely" if close else "contradicted"), dict(gaps)


def operating_point(paper: Paper) -> Result:
    """Expert iteration's Reward gain against SFT at its own better score settings."""
    stated = delta(paper, "table2.row1.reward", "table2.row2.reward")
    fair = delta(paper, "fig2.sft_reward_s2", "table2.row2.reward")
    return None, {"stated": stated, "fair": fair}


def seed_spread(paper: Paper) -> Result:
    """FAD steps against the difference between two seeds of the same model."""
    fad, seeds = steps(paper, "fad"), seed_gap(paper)
    over = abs(fad["row2"]) / seeds if seeds else 0.0
    gain = -delta(paper, "table2.row2.fad", "table2.row4.fad")
    return None, {**fad, "seeds": seeds, "expert_over_seeds": over, "rows_2_to_4": gain}


def crpo_goal(paper: Paper) -> Result:
    """CLAP after CRPO against CLAP of the expert-iteration row whose weights it fine-tunes."""
    own, net = (delta(paper, f"table2.{row}.clap", "table2.row4.clap") for row in ("row3", "row2"))
    return None, {"own": own, "net": net}


def gain_by_protocol(paper: Paper) -> Result:
    """The same step, baseline to v1, in the protocols of Table I and Table II."""
    jamendo = delta(paper, "table1.baseline.fad", "table1.v1.fad")
    sdd = delta(paper, "table2.row0.fad", "table2.row1.fad")
    return None, {"table1": jamendo, "table2": sdd, "ratio": sdd / jamendo}
