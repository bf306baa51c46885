"""Section III-C and the reward statistics of III-D(a), against the ranker's public files."""

from __future__ import annotations

import math
from itertools import pairwise

from attm_companion.ledger.checks.arithmetic import holds
from attm_companion.ledger.checks.score_sweep import deviations
from attm_companion.ledger.evidence import Result
from attm_companion.ledger.release.audit import Audit
from attm_companion.paper_numbers import Paper

WIDTHS = ("input_width", "hidden1", "hidden2", "hidden3", "hidden4", "output")
PARTS = ("train", "val", "test")


def feature_width(paper: Paper) -> Result:
    """The sum of the three feature widths against the stated input."""
    parts = [paper[f"hyper.ranker.{n}_width"] for n in ("clap_audio", "mert", "clap_text")]
    return holds(sum(parts) == paper["hyper.ranker.input_width"]), {"sum": sum(parts)}


def head_shape(paper: Paper) -> Result:
    """Parameters of an MLP with the printed widths, batch norm after each hidden layer."""
    widths = [round(paper[f"hyper.ranker.{name}"]) for name in WIDTHS]
    linear = sum(a * b + b for a, b in pairwise(widths))
    count = linear + 2 * sum(widths[1:-1])
    stated = paper["repository.ranker_parameters_m"]
    return holds(round(count / 1e6, 1) == stated), {"parameters": count, "stated_m": stated}


def songeval_pairs(paper: Paper, audit: Audit) -> Result:
    """Whether SongEval's pairs are votes or the number that a script samples from ratings."""
    splits = audit["splits"]
    used = sum(splits["sources"][part].get("songeval", 0) for part in PARTS)
    made = used + splits["songeval_dropped_pairs"]
    sampled = made == paper["public.songeval_pairs"]
    return "contradicted" if sampled else "ambiguous", {"used": used, "made": made}


def pair_counts(paper: Paper, audit: Audit) -> Result:
    """Sizes of the public splits against the number said to be trained on."""
    sizes, total = audit["splits.sizes"], audit["splits.total"]
    printed = paper["hyper.ranker.train_pairs"]
    near = abs(total - printed) / printed < 0.05
    trained = abs(sizes["train"] - printed) / printed < 0.05
    return holds(trained, "holds_loosely" if near else "contradicted"), {}


def accuracy(paper: Paper, audit: Audit) -> Result:
    """Accuracy recomputed from the public bins, with its interval."""
    cell, found = paper.cell("hyper.ranker.accuracy"), audit["ranker"]
    inside = found["accuracy_low"] <= cell.value <= found["accuracy_high"]
    exact = abs(found["accuracy"] - cell.value) <= cell.half_unit
    return holds(exact, "holds_loosely" if inside else "contradicted"), {}


def calibration(paper: Paper, audit: Audit) -> Result:
    """ECE recomputed from the public bins, beside what perfect calibration would show."""
    cell, found = paper.cell("hyper.ranker.ece"), audit["ranker"]
    gap, near = abs(found["ece"] - cell.value), found["ece_of_perfect_calibration"]
    return holds(gap <= cell.half_unit, "holds_loosely" if gap <= near else "contradicted"), {}


def reward_statistics(paper: Paper) -> Result:
    """Whether the five printed statistics can belong to one distribution."""
    z = {name: deviations(paper, paper[f"text.reward_{name}"]) for name in ("p5", "p95", "max")}
    # One-sided Chebyshev: no distribution has 5 % beyond √19 deviations.
    possible = z["p5"] < 0 < z["p95"] < z["max"] and max(-z["p5"], z["p95"]) <= math.sqrt(19)
    return "holds_loosely" if possible else "contradicted", dict(z)


def source_mix(audit: Audit) -> Result:
    """Shares of the sources in the pooled test split."""
    sources = audit["splits.sources.test"]
    shares = {name: count / sum(sources.values()) for name, count in sources.items()}
    top = max(shares, key=shares.__getitem__)
    return None, {
        "top": top.replace("_", " ").upper(),
        "share": shares[top],
        "smallest": min(shares.values()),
    }


def reward_exploitation(paper: Paper) -> Result:
    """Reward and distance to the reference after expert iteration in the ranker's repository."""
    changes = {
        metric: [
            round(cell.value - paper[f"public.mode3.baseline.{metric}"], 10)
            for row, cell in paper.column("public.mode3", metric).items()
            if row != "baseline"
        ]
        for metric in ("reward", "mad")
    }
    ends = (("low", min), ("high", max))
    return None, {f"{m}_{e}": f(values) for m, values in changes.items() for e, f in ends}
