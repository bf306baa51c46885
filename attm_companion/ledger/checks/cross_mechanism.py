"""Table III: weights of one mechanism in the forward pass of the other."""

from __future__ import annotations

from attm_companion.ledger.checks.arithmetic import agrees, best_rows, delta, rounds_to, wrong_bold
from attm_companion.ledger.evidence import Evidence, Outcome, Verdict
from attm_companion.ledger.registry import check
from attm_companion.paper_numbers import Paper

CELLS = ("v1_v1", "v1_v2", "v2_v1", "v2_v2")
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


@check("C101")
def factorial_cells(evidence: Evidence) -> Outcome:
    """Cells of the factorial, and whether each has all three numbers."""
    rows = evidence.paper.column("table3", "fad")
    factorial = [row for row in rows if "." in row]
    complete = all(row in evidence.paper.column("table3", m) for m in METRICS for row in rows)
    return Outcome(
        "holds" if len(factorial) == 2 * len(CELLS) and complete else "contradicted",
        f"{len(factorial)} cells (2 stages × 2 weights × 2 forwards) and "
        f"{len(rows) - len(factorial)} submitted configurations are printed in full.",
        {"cells": len(factorial), "rows": len(rows)},
    )


@check("C102")
def chain_end_cells(evidence: Evidence) -> Outcome:
    """Whether a chain-end cell is labelled as having had CRPO."""
    labels = {c: evidence.paper.label(f"table3.chain.{c}.label") for c in CELLS}
    after_crpo = [label for label in labels.values() if "CRPO" in label]
    return Outcome(
        "contradicted" if after_crpo else "holds",
        f"{len(after_crpo)} of {len(CELLS)} chain-end cells is labelled with CRPO "
        f"({'; '.join(after_crpo)}), and IV-D(c) speaks of v2 expert iteration plus CRPO.",
        {"cells_with_crpo": len(after_crpo)},
    )


@check("C152")
def unequal_chains(evidence: Evidence) -> Outcome:
    """Whether v1 and v2 chain-end cells are comparable."""
    labels = [evidence.paper.label(f"table3.chain.{c}.label") for c in ("v1_v1", "v2_v2")]
    equal = sum("CRPO" in label for label in labels) in (0, 2)
    return Outcome(
        "holds" if equal else "contradicted",
        f"The v1 cell stops before CRPO, the v2 cell has had it ({labels[1]}), so 'the v2 chain "
        "regresses' compares other numbers of stages; the caption of the cell says so, the text of "
        "IV-B does not.",
        {"cells_with_crpo": sum("CRPO" in label for label in labels)},
    )


@check("C103")
def benign_direction(evidence: Evidence) -> Outcome:
    """FAD of v1→v2 against v1-native at both stages."""
    paper = evidence.paper
    bound = paper["text.cross_load_fad_within"]
    moves = {
        s: delta(paper, f"table3.{s}.v1_v1.fad", f"table3.{s}.v1_v2.fad") for s in ("sft", "chain")
    }
    outside = [stage for stage, move in moves.items() if abs(move) > bound + 1e-9]
    return Outcome(
        "contradicted" if outside else "holds",
        f"The moves are {moves['sft']:+.4f} (SFT) and {moves['chain']:+.4f} (chain end) against "
        f"{bound}: {', '.join(outside) or 'neither'} lies outside, though both are improvements, "
        "so the conclusion (benign) stands.",
        {"sft": moves["sft"], "chain": moves["chain"], "bound": bound},
    )


@check("C104")
def reverse_collapses(evidence: Evidence) -> Outcome:
    """Both v2→v1 cells against the rounded values of the text."""
    paper = evidence.paper
    cells = {
        m: [paper[f"table3.{s}.v2_v1.{m}"] for s in ("sft", "chain")] for m in ("fad", "reward")
    }
    words = {"fad": paper["text.reverse_cross_fad"], "reward": paper["text.reverse_cross_reward"]}
    close = all(abs(v - words["fad"]) < 0.01 for v in cells["fad"]) and all(
        abs(v - words["reward"]) < 0.02 for v in cells["reward"]
    )
    return Outcome(
        "holds" if close else "contradicted",
        f"Cells are FAD {cells['fad'][0]:.4f} and {cells['fad'][1]:.4f}, Reward "
        f"{cells['reward'][0]:+.3f} and {cells['reward'][1]:+.3f}.",
        {"fad_sft": cells["fad"][0], "fad_chain": cells["fad"][1]},
    )


@check("C105")
def chain_end_reward(evidence: Evidence) -> Outcome:
    """The two Reward cells named in the text."""
    gap = delta(evidence.paper, "table3.chain.v1_v1.reward", "table3.chain.v1_v2.reward")
    return Outcome(
        "holds" if gap > 0 else "contradicted",
        f"v1→v2 is {gap:+.3f} Reward from v1-native.",
        {"difference": gap},
    )


@check("C106")
def v2_regresses(evidence: Evidence) -> Outcome:
    """Both metrics of the v2-native cell between the stages."""
    fad, reward = (stage_deltas(evidence.paper, m)["v2_v2"] for m in ("fad", "reward"))
    return Outcome(
        "holds" if fad > 0 > reward else "contradicted",
        f"FAD rises by {fad:.4f} and Reward falls by {-reward:.3f}.",
        {"fad": fad, "reward": reward},
    )


@check("C107")
def biggest_delta(evidence: Evidence) -> Outcome:
    """Stage deltas of all four cells, and the deltas between forwards."""
    paper = evidence.paper
    fad, clap, reward = (stage_deltas(paper, m) for m in METRICS)
    printed = all(
        rounds_to(change, paper.cell(f"text.expert_{m}_delta"), paper.cell(f"table3.sft.v1_v1.{m}"))
        for m, change in (
            ("fad", fad["v1_v1"]),
            ("clap", clap["v1_v1"]),
            ("reward", reward["v1_v1"]),
        )
    )
    top = {"fad": min(fad, key=fad.__getitem__), "clap": max(clap, key=clap.__getitem__),
           "reward": max(reward, key=reward.__getitem__)}  # fmt: skip
    swap = max(abs(delta(paper, f"table3.{s}.v2_v2.fad", f"table3.{s}.v2_v1.fad"))
               for s in ("sft", "chain"))  # fmt: skip
    exact = set(top.values()) == {"v1_v1"}
    verdict: Verdict = "holds" if exact else "holds_loosely"
    return Outcome(
        verdict if printed and top["fad"] == "v1_v1" else "contradicted",
        f"As a change between stages it is the largest in FAD ({fad['v1_v1']:+.4f}) and CLAP, not "
        f"in Reward, where {top['reward'].replace('_', '→')} gains {reward[top['reward']]:+.3f} "
        f"against {reward['v1_v1']:+.3f}; between cells the table holds changes up to {swap:.4f} "
        "FAD.",
        {"fad": fad["v1_v1"], "reward": reward["v1_v1"], "largest_reward": reward[top["reward"]],
         "largest_fad_between_forwards": swap},
    )  # fmt: skip


@check("C109")
def bold_is_best(evidence: Evidence) -> Outcome:
    """Bold cells of Table III against the best values."""
    wrong = wrong_bold(evidence.paper, "table3", METRICS)
    best = best_rows(evidence.paper.column("table3", "reward"), "reward")
    return Outcome(
        "contradicted" if wrong else "holds",
        f"{', '.join(wrong) or 'No column'} lacks bold at its best value; the best Reward is "
        f"{evidence.paper.label(f'table3.{min(best)}.label')}, bold in Table II and plain here.",
        {"wrong_columns": ", ".join(wrong) or "none"},
    )


@check("C134")
def forward_switch_gain(evidence: Evidence) -> Outcome:
    """What switching the forward pass of the SFT weights does, without any training."""
    switch = delta(evidence.paper, "table3.sft.v1_v1.fad", "table3.sft.v1_v2.fad")
    expert = delta(evidence.paper, "table3.sft.v1_v1.fad", "table3.chain.v1_v1.fad")
    share = switch / expert
    return Outcome(
        "contradicted" if share > 0.5 else "holds",
        f"Loading the SFT weights into the v2 forward moves FAD by {switch:+.4f}, {share:.0%} of "
        f"expert iteration's {expert:+.4f}, with no training at all; Reward does not follow.",
        {"switch": switch, "expert_iteration": expert, "share": share},
    )


@check("C149")
def tables_agree(evidence: Evidence) -> Outcome:
    """Conditions printed in Table II and in Table III."""
    paper = evidence.paper
    differing = [
        f"{a}.{m}"
        for a, b in SAME_CONDITION.items()
        for m in METRICS
        if not agrees(paper[f"{a}.{m}"], paper.cell(f"{b}.{m}"))
    ]
    return Outcome(
        "contradicted" if differing else "holds",
        f"{len(SAME_CONDITION) * len(METRICS) - len(differing)} of "
        f"{len(SAME_CONDITION) * len(METRICS)} shared values agree to the digit.",
        {"shared": len(SAME_CONDITION) * len(METRICS), "differing": len(differing)},
    )
