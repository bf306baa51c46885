"""Table II: the deployed chain row by row, and the words "dominant" and "only"."""

from itertools import pairwise

from attm_companion.ledger.checks.arithmetic import HIGHER_IS_BETTER, delta, holds, rounds_to
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
    """Whether expert iteration is the largest FAD step, of the whole chain or of that after SFT."""
    fad, reward = steps(paper, "fad"), steps(paper, "reward")
    largest = min(fad, key=lambda row: fad[row])
    printed = rounds_to(fad["row2"], paper.cell("text.expert_fad_delta"))
    after_sft = printed and min(ROWS[2:], key=lambda row: fad[row]) == "row2"
    return holds(printed and largest == "row2", "ambiguous" if after_sft else "contradicted"), {
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


def row_matches_release(paper: Paper, audit: Audit, row: str, system: str) -> Result:
    """A printed row against the means of the public per-prompt scores."""
    cells = {m: paper.cell(f"table2.{row}.{m}") for m in PER_PROMPT}
    means = {m: audit[f"scores.{m}.systems.{system}.mean"] for m in PER_PROMPT}
    gaps = {m: means[m] - cell.value for m, cell in cells.items()}
    exact = all(abs(gaps[m]) <= cell.half_unit for m, cell in cells.items())
    close = max(map(abs, gaps.values())) < 0.002
    return holds(exact, "holds_loosely" if close else "contradicted"), dict(gaps)


def dry_run_board(paper: Paper) -> Result:
    """Internal FAD beside the dry run's, which had the Song Describer Dataset as reference."""
    board = [cell.value for cell in paper.column("public.dry_run", "fad").values()]
    own = {name: paper[f"table2.{row}.fad"] for name, row in (("sub1", "row4"), ("sub2", "sub2"))}
    ranks = {f"rank_{name}": 1 + sum(b < value for b in board) for name, value in own.items()}
    inside = min(board) <= min(own.values()) and max(own.values()) <= max(board)
    figures = {"entries": len(board), "best": min(board), "worst": max(board), **ranks}
    return holds(inside), dict(figures)
