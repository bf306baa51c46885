"""GPU-hours, passes over the data, and file sizes."""

from __future__ import annotations

from attm_companion.ledger.checks.backbone import parameter_count
from attm_companion.ledger.evidence import Evidence, Outcome
from attm_companion.ledger.registry import check
from attm_companion.paper_numbers import Paper

SECONDS = 3600.0
FORWARDS_PER_UPDATE = 3.0  # forward once, backward twice as much
FORWARDS_PER_PAIR = (
    8.0  # winner and loser: policy forward and backward (3 each), reference (1 each)
)


def seconds_per_update(paper: Paper) -> float:
    """Stage 1's time per update."""
    return paper["hyper.stage1.hours"] * SECONDS / paper["hyper.stage1.updates"]


@check("C60")
def stage_one_time(evidence: Evidence) -> Outcome:
    """The arithmetic rate that 200 K updates in 32 h would need."""
    paper = evidence.paper
    seconds, batch = seconds_per_update(paper), paper["hyper.stage1.batch_size"]
    rate = FORWARDS_PER_UPDATE * batch * paper["public.clip_gflop"] / 1000 / seconds
    passes = paper["hyper.stage1.updates"] * batch / paper["hyper.data.clips"]
    peak = paper["public.a5000_tflops_bf16"]
    return Outcome(
        "holds" if rate < 0.6 * peak else "ambiguous",
        f"{seconds:.2f} s an update and {passes:.0f} passes over the clips need {rate:.0f} "
        f"TFLOP/s, {rate / peak:.0%} of the card's dense bf16 rate: plausible.",
        {"seconds_per_update": seconds, "passes": passes, "tflops_needed": rate},
    )


@check("C71", "C124")
def total_time(evidence: Evidence) -> Outcome:
    """The stages at Stage 1's pace, with what is left for everything else."""
    paper, second = evidence.paper, seconds_per_update(evidence.paper) / SECONDS
    stage2 = (paper["hyper.stage2.updates"] + paper["hyper.stage2.polish_updates"]) * second
    per_forward = second / (FORWARDS_PER_UPDATE * paper["hyper.stage1.batch_size"])
    stage3 = (
        paper["hyper.stage3.updates"]
        * paper["public.crpo_pairs_a_batch"]
        * FORWARDS_PER_PAIR
        * per_forward
    )
    total = paper["hyper.stage1.hours"] + stage2 + stage3
    rest = paper["text.total_gpu_hours"] - total
    return Outcome(
        "holds_loosely" if rest > 0 else "contradicted",
        f"At Stage 1's pace the three stages take {total:.1f} h, leaving {rest:.1f} h for "
        "sampling, pairs and the ranker; separating the corpus and scoring 535 K clips are not "
        "in the sum as worded, and the sweep of heads is not either.",
        {"stage2_h": stage2, "stage3_h": stage3, "three_stages_h": total, "left_h": rest},
    )


@check("C139")
def sweep_time(evidence: Evidence) -> Outcome:
    """The head sweep at the full Stage-1 budget against the total stated."""
    paper = evidence.paper
    sweep = paper["text.n_heads"] * paper["hyper.stage1.hours"]
    total = paper["text.total_gpu_hours"]
    return Outcome(
        "contradicted" if sweep > total else "holds",
        f"Five heads at Stage 1's budget would be {sweep:.0f} GPU-hours, {sweep / total:.0f} "
        f"times the {total:.0f} stated, which III-D(e)'s list (SFT, expert iteration, CRPO, "
        "ranker) leaves out; shorter sweep runs are possible, their budget is not printed.",
        {"sweep_gpu_hours": sweep, "stated_gpu_hours": total},
    )


@check("C125")
def checkpoint_size(evidence: Evidence) -> Outcome:
    """Bytes of the parameters in fp32."""
    size = parameter_count(with_score_head=True) * 4
    mib, printed = size / 2**20, evidence.paper["repository.checkpoint_mb"]
    return Outcome(
        "holds" if abs(mib - printed) < 5 else "contradicted",
        f"{size / 1e6:.1f} MB of fp32 weights are {mib:.1f} MiB: the README counts binary "
        "megabytes, the model card decimal ones.",
        {"megabytes": size / 1e6, "mebibytes": mib},
    )


@check("C150")
def wall_clock(evidence: Evidence) -> Outcome:
    """The script's own minutes for 100 clips against the paper's seconds a clip."""
    paper = evidence.paper
    stated = paper["text.wall_clock_high_s"]
    generate = paper["repository.generate_minutes_low"] * 60 / 100
    separate = paper["repository.separate_minutes_low"] * 60 / 100
    return Outcome(
        "contradicted" if generate > stated else "holds_loosely",
        f"At the least, the script's comments allow {generate:.1f} s to generate and "
        f"{separate:.1f} s to separate a clip, against at most {stated:.1f} s end to end in the "
        "paper. Comments may count loading of models; a batch or a faster card would also close "
        "the gap.",
        {"generate_s": generate, "separate_s": separate, "stated_s": stated},
    )
