"""Sizes, GPU-hours, passes over the data, and seconds a clip."""

from __future__ import annotations

import math
from functools import cache

from attm_companion.ledger.checks.arithmetic import holds
from attm_companion.ledger.evidence import Result
from attm_companion.paper_numbers import Paper

SECONDS = 3600.0
FORWARDS_PER_UPDATE = 3.0  # forward once, backward twice as much
FORWARDS_PER_PAIR = 8.0  # winner and loser: policy forward and backward (3 each), reference (1)
PLAUSIBLE_SHARE_OF_PEAK = 0.6


@cache
def tensor_sizes() -> dict[str, int]:
    """Numbers in each tensor of our full-size model with InputAdd (shapes only, built once)."""
    import torch

    from attm_core.backbone.config import FluxAudioConfig
    from attm_core.backbone.flux_audio import FluxAudio

    with torch.device("meta"):
        model = FluxAudio(FluxAudioConfig(score_head="input_add"), torch.Generator())
    return {name: tensor.numel() for name, tensor in model.state_dict().items()}


def backbone_size(paper: Paper) -> Result:
    """Numbers in our full-size backbone without the score embedding."""
    count = sum(n for name, n in tensor_sizes().items() if not name.startswith("score_embed"))
    return holds(round(count / 1e6) == paper["text.backbone_parameters_m"]), {"parameters": count}


def checkpoint_size(paper: Paper) -> Result:
    """Bytes of all parameters in fp32."""
    size = sum(tensor_sizes().values()) * 4
    near = abs(size / 2**20 - paper["repository.checkpoint_mb"]) < 5
    return holds(near), {"megabytes": size / 1e6, "mebibytes": size / 2**20}


def seconds_per_update(paper: Paper) -> float:
    """Stage 1's time per update."""
    return paper["hyper.stage1.hours"] * SECONDS / paper["hyper.stage1.updates"]


def stage_one_time(paper: Paper) -> Result:
    """The arithmetic rate that Stage 1's updates in its hours would need."""
    seconds, batch = seconds_per_update(paper), paper["hyper.stage1.batch_size"]
    rate = FORWARDS_PER_UPDATE * batch * paper["public.clip_gflop"] / 1000 / seconds
    share = rate / paper["public.a5000_tflops_bf16"]
    passes = paper["hyper.stage1.updates"] * batch / paper["hyper.data.clips"]
    figures = {"seconds": seconds, "passes": passes, "tflops": rate, "share": share}
    return holds(share < PLAUSIBLE_SHARE_OF_PEAK, "ambiguous"), dict(figures)


def total_time(paper: Paper) -> Result:
    """The stages at Stage 1's pace, with what is left for everything else."""
    hours = seconds_per_update(paper) / SECONDS
    stage2 = (paper["hyper.stage2.updates"] + paper["hyper.stage2.polish_updates"]) * hours
    per_forward = hours / (FORWARDS_PER_UPDATE * paper["hyper.stage1.batch_size"])
    pairs = paper["hyper.stage3.updates"] * paper["public.crpo_pairs_a_batch"]
    total = paper["hyper.stage1.hours"] + stage2 + pairs * FORWARDS_PER_PAIR * per_forward
    rest = paper["text.total_gpu_hours"] - total
    return "holds_loosely" if rest > 0 else "contradicted", {"stages": total, "left": rest}


def wall_clock(paper: Paper) -> Result:
    """The script's own minutes for 100 clips against the paper's seconds a clip."""
    parts = ("generate", "separate")
    least = {part: paper[f"repository.{part}_minutes_low"] * 60 / 100 for part in parts}
    fits = sum(least.values()) <= paper["text.wall_clock_high_s"]
    return "holds_loosely" if fits else "contradicted", dict(least)


def beta_and_magnitude(paper: Paper) -> Result:
    """Differences at which β settles a pair at 90 %: of log-ratios, and of losses in TangoFlux."""
    settled = math.log(9) / paper["hyper.stage3.beta"]
    return None, {"log_ratios": settled, "losses": 2 * settled}
