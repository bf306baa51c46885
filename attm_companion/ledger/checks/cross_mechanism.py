"""Table III: weights of one mechanism in the forward pass of the other."""

from __future__ import annotations

from attm_companion.ledger.checks.arithmetic import best_rows, delta, holds, rounds_to, wrong_bold
from attm_companion.ledger.evidence import Result
from attm_companion.paper_numbers import Paper

CELLS = ("v1_v1", "v1_v2", "v2_v1", "v2_v2")
STAGES = ("sft", "chain")
METRICS = ("fad", "clap", "reward")
SAME_CONDITION = {
    "table2.row1": "table3.sft.v1_v1",
    "table2.row2": "table3.chain.v1_v1",
    "table2.row3": "table3.chain.v1_v2",
    "table2.row4": "table3.sub1",
    "table2.sub2": "table3.sub2",
}


def stage_deltas(paper: Paper, metric: str) -> dict[str, float]:
    """Chain end minus SFT only, by cell."""
    return {
        c: delta(paper, f"table3.sft.{c}.{metric}", f"table3.chain.{c}.{metric}") for c in CELLS
    }


def factorial_cells(paper: Paper) -> Result:
    """Cells of the factorial: both stages, weights and forwards, each with all three numbers."""
    n = min(sum("." in row for row in paper.column("table3", m)) for m in METRICS)
    return holds(n == paper["text.factorial_cells"]), {"cells": n}


def benign_direction(paper: Paper) -> Result:
    """FAD of v1→v2 against v1-native at both stages."""
    bound = paper["text.cross_load_fad_within"]
    moves = {s: delta(paper, f"table3.{s}.v1_v1.fad", f"table3.{s}.v1_v2.fad") for s in STAGES}
    return holds(max(map(abs, moves.values())) <= bound + 1e-9), dict(moves)


def reverse_collapses(paper: Paper) -> Result:
    """Both v2→v1 cells against the rounded values of the text."""
    cells = {f"{m}_{s}": paper[f"table3.{s}.v2_v1.{m}"] for m in ("fad", "reward") for s in STAGES}
    words = {m: paper[f"text.reverse_cross_{m}"] for m in ("fad", "reward")}
    slack = {"fad": 0.01, "reward": 0.02}
    close = all(
        abs(cells[f"{m}_{s}"] - words[m]) < slack[m] for m in ("fad", "reward") for s in STAGES
    )
    return holds(close), {}


def chain_end_reward(paper: Paper) -> Result:
    """The two Reward cells named in the text."""
    gap = delta(paper, "table3.chain.v1_v1.reward", "table3.chain.v1_v2.reward")
    return holds(gap > 0), {"difference": gap}


def v2_regresses(paper: Paper) -> Result:
    """Both metrics of the v2-native cell between the stages."""
    fad, reward = (stage_deltas(paper, m)["v2_v2"] for m in ("fad", "reward"))
    return holds(fad > 0 > reward), {"fad": fad, "reward": reward}


def biggest_delta(paper: Paper) -> Result:
    """Stage deltas of all four cells, and the largest delta between forwards."""
    deltas = {m: stage_deltas(paper, m) for m in METRICS}
    printed = all(
        rounds_to(deltas[m]["v1_v1"], paper.cell(f"text.expert_{m}_delta"), paper.cell(
            f"table3.sft.v1_v1.{m}")) for m in METRICS
    )  # fmt: skip
    top = {m: (min if m == "fad" else max)(CELLS, key=deltas[m].__getitem__) for m in METRICS}
    swap = max(abs(delta(paper, f"table3.{s}.v2_v2.fad", f"table3.{s}.v2_v1.fad")) for s in STAGES)
    exact = set(top.values()) == {"v1_v1"}
    right = printed and top["fad"] == "v1_v1"
    return holds(exact and right, "holds_loosely" if right else "contradicted"), {
        "fad": deltas["fad"]["v1_v1"],
        "reward": deltas["reward"]["v1_v1"],
        "top_reward_cell": top["reward"].replace("_", "→"),
        "top_reward": deltas["reward"][top["reward"]],
        "between_forwards": swap,
    }


def bold_is_best(paper: Paper) -> Result:
    """Bold cells of Table III against the best values."""
    wrong = wrong_bold(paper, "table3", METRICS)
    best = min(best_rows(paper.column("table3", "reward"), "reward"))
    label = paper.label(f"table3.{best}.label")
    return holds(not wrong), {"wrong": ", ".join(wrong) or "none", "best_reward": label}


def forward_switch_gain(paper: Paper) -> Result:
    """What switching the forward pass of the SFT weights does, without any training."""
    switch = delta(paper, "table3.sft.v1_v1.fad", "table3.sft.v1_v2.fad")
    expert = delta(paper, "table3.sft.v1_v1.fad", "table3.chain.v1_v1.fad")
    reward = delta(paper, "table3.sft.v1_v1.reward", "table3.sft.v1_v2.reward")
    share = switch / expert if expert else 0.0
    return None, {"switch": switch, "expert": expert, "share": share, "reward": reward}


def tables_agree(paper: Paper) -> Result:
    """Conditions printed in Table II and in Table III."""
    pairs = [(f"{a}.{m}", f"{b}.{m}") for a, b in SAME_CONDITION.items() for m in METRICS]
    return None, {"shared": len(pairs), "agree": sum(paper[a] == paper[b] for a, b in pairs)}
