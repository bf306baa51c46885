"""Table III: weights of one mechanism in the forward pass of the other."""

from attm_companion.ledger.checks.arithmetic import delta, holds, rounds_to
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


def tables_agree(paper: Paper) -> Result:
    """Conditions printed in Table II and in Table III."""
    pairs = [(f"{a}.{m}", f"{b}.{m}") for a, b in SAME_CONDITION.items() for m in METRICS]
    return None, {"shared": len(pairs), "agree": sum(paper[a] == paper[b] for a, b in pairs)}
