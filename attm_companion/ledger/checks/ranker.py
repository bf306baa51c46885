"""Section III-C against the ranker's public files."""

from __future__ import annotations

import math

from attm_companion.ledger.checks.arithmetic import agrees
from attm_companion.ledger.evidence import Evidence, Outcome, Verdict
from attm_companion.ledger.registry import check

WIDTHS = ("hidden1", "hidden2", "hidden3", "hidden4", "output")


@check("C39")
def feature_width(evidence: Evidence) -> Outcome:
    """The sum of the three feature widths, and that of our head."""
    from attm_core.ranker.tunejury import PAPER_HIDDEN

    paper = evidence.paper
    parts = [paper[f"hyper.ranker.{n}_width"] for n in ("clap_audio", "mert", "clap_text")]
    fits = sum(parts) == paper["hyper.ranker.input_width"]
    return Outcome(
        "holds" if fits else "contradicted",
        f"{' + '.join(f'{p:.0f}' for p in parts)} = {sum(parts):.0f}; the public head takes CLAP "
        f"audio, MERT, CLAP text in this order into its first layer of {PAPER_HIDDEN[0]}.",
        {"sum": sum(parts)},
    )


@check("C40")
def head_shape(evidence: Evidence) -> Outcome:
    """Parameters of an MLP with the printed widths, as our head counts them."""
    from attm_core.ranker.tunejury import TuneJuryHead

    paper = evidence.paper
    hidden = tuple(round(paper[f"hyper.ranker.{name}"]) for name in WIDTHS[:-1])
    clap, mert = (round(paper[f"hyper.ranker.{n}_width"]) for n in ("clap_audio", "mert"))
    head = TuneJuryHead(clap, mert, hidden)
    count = sum(parameter.numel() for parameter in head.parameters())
    stated = paper["repository.ranker_parameters_m"]
    return Outcome(
        "holds"
        if round(count / 1e6, 1) == stated and len(head.state_dict()) == 30
        else "contradicted",
        f"The printed widths give {count:,} parameters in {len(head.state_dict())} tensors; the "
        f"public README says {stated} M and its weights load into this shape.",
        {"parameters": count, "tensors": len(head.state_dict())},
    )


@check("C43")
def pair_counts(evidence: Evidence) -> Outcome:
    """Sizes of the public splits."""
    sizes, total = evidence.audit["splits.sizes"], evidence.audit["splits.total"]
    printed = evidence.paper["hyper.ranker.train_pairs"]
    loosely = abs(total - printed) / printed < 0.05
    return Outcome(
        "holds" if abs(sizes["train"] - printed) / printed < 0.05
        else "holds_loosely" if loosely else "contradicted",
        f"{printed:,.0f} is the size of all splits together ({total:,}); trained on are "
        f"{sizes['train']:,}, and {sizes['val']:,} + {sizes['test']:,} are held out.",
        {"train": sizes["train"], "val": sizes["val"], "test": sizes["test"], "total": total},
    )  # fmt: skip


@check("C44")
def accuracy(evidence: Evidence) -> Outcome:
    """Accuracy recomputed from the public bins, with its interval."""
    cell, found = evidence.paper.cell("hyper.ranker.accuracy"), evidence.audit["ranker"]
    inside = found["accuracy_low"] <= cell.value <= found["accuracy_high"]
    verdict: Verdict = "holds_loosely" if inside else "contradicted"
    return Outcome(
        "holds" if agrees(found["accuracy"], cell) else verdict,
        f"The public bins give {found['accuracy']:.1%} on {found['n']:,} votes, 95 % interval "
        f"{found['accuracy_low']:.1%} to {found['accuracy_high']:.1%}; printed {cell.value:.1%}. "
        "The README says that the submission used an earlier head.",
        {"accuracy": found["accuracy"], "low": found["accuracy_low"],
         "high": found["accuracy_high"],
         "n": found["n"]},
    )  # fmt: skip


@check("C45")
def calibration(evidence: Evidence) -> Outcome:
    """ECE recomputed from the public bins, beside what perfect calibration would show."""
    cell, found = evidence.paper.cell("hyper.ranker.ece"), evidence.audit["ranker"]
    chance = found["ece_of_perfect_calibration"]
    close = abs(found["ece"] - cell.value) <= chance
    return Outcome(
        "holds" if agrees(found["ece"], cell) else "holds_loosely" if close else "contradicted",
        f"The public bins give {found['ece']:.4f}, printed {cell.value:.3f}; ten bins of this "
        f"size would show {chance:.3f} for a perfectly calibrated ranker, so both are near the "
        "floor of the measure.",
        {"ece": found["ece"], "ece_of_perfect_calibration": chance},
    )


@check("C142")
def fresh_votes(evidence: Evidence) -> Outcome:
    """Agreement with votes after the ranker's data ended."""
    fresh, printed = evidence.audit["fresh_votes"], evidence.paper["hyper.ranker.accuracy"]
    carries = fresh["accuracy_high"] >= printed
    return Outcome(
        "holds" if carries else "contradicted",
        f"On {fresh['n']} later votes over {fresh['n_systems']} systems it agrees with "
        f"{fresh['accuracy']:.1%} (95 % interval {fresh['accuracy_low']:.1%} to "
        f"{fresh['accuracy_high']:.1%}); the ranker's authors report this themselves and offer a "
        "calibration. The paper makes no statement about newer systems.",
        {"accuracy": fresh["accuracy"], "low": fresh["accuracy_low"],
         "high": fresh["accuracy_high"],
         "n": fresh["n"]},
    )  # fmt: skip


@check("C143")
def source_mix(evidence: Evidence) -> Outcome:
    """Shares of the sources in the pooled test split."""
    sources = evidence.audit["splits.sources.test"]
    total = sum(sources.values())
    shares = {name: count / total for name, count in sources.items()}
    top = max(shares, key=lambda name: shares[name])
    return Outcome(
        "contradicted" if shares[top] > 0.5 else "holds",
        f"{shares[top]:.0%} of the test pairs come from {top}, {min(shares.values()):.0%} from the "
        "smallest source: the pooled accuracy is mostly that of one survey.",
        {f"share_{name}": share for name, share in shares.items()},
    )


@check("C153")
def songeval_pairs(evidence: Evidence) -> Outcome:
    """Whether SongEval's pairs are votes."""
    splits = evidence.audit["splits"]
    used = sum(splits["sources"][part].get("songeval", 0) for part in ("train", "val", "test"))
    made = used + splits["songeval_dropped_pairs"]
    target = evidence.paper["public.songeval_pairs"]
    return Outcome(
        "contradicted" if made == target else "ambiguous",
        f"{used:,} pairs in the splits and {splits['songeval_dropped_pairs']} dropped make "
        f"{made:,}, the number that a script samples from ratings of {splits['songeval_songs']:,} "
        "songs: nobody compared the two clips of such a pair.",
        {"pairs_used": used, "pairs_made": made, "songs": splits["songeval_songs"]},
    )


@check("C53")
def reward_statistics(evidence: Evidence) -> Outcome:
    """Whether the five printed statistics can belong to one distribution."""
    paper = evidence.paper
    mean, sd = paper["text.reward_mean"], paper["text.reward_std"]
    low, high, top = (paper[f"text.reward_{name}"] for name in ("p5", "p95", "max"))
    z = {"p5": (low - mean) / sd, "p95": (high - mean) / sd, "max": (top - mean) / sd}
    # One-sided Chebyshev: no distribution has 5 % beyond √19 deviations.
    possible = low < mean < high < top and max(-z["p5"], z["p95"]) <= math.sqrt(19)
    return Outcome(
        "holds_loosely" if possible else "contradicted",
        f"Possible: p5 and p95 at {z['p5']:+.2f} and {z['p95']:+.2f} deviations, a longer lower "
        "tail than the normal law's 1.64; the clip-level column itself is not public.",
        {"z_p5": z["p5"], "z_p95": z["p95"], "z_max": z["max"]},
    )


@check("C145")
def scale_of_rewards(evidence: Evidence) -> Outcome:
    """Deviation of clip scores against that of track scores."""
    clip_sd, tracks = evidence.paper["text.reward_std"], evidence.audit["tracks.jamendo"]
    return Outcome(
        "contradicted" if clip_sd < tracks["sd"] else "holds",
        f"Clips deviate by {clip_sd:.2f}, the {tracks['n']:,} public track scores by "
        f"{tracks['sd']:.2f} (p5 {tracks['p5']:+.2f}, p95 {tracks['p95']:+.2f}). Clips of a track "
        "vary among themselves, so on one scale their deviation could not be the smaller one; "
        "the public scores are of the full mix and of a newer head.",
        {"clip_sd": clip_sd, "track_sd": tracks["sd"], "track_mean": tracks["mean"]},
    )
