"""What the backbone's benchmarks share: variants timed in turn, the machine's own rate, the result.

Variants take turns, so that other load on the machine falls on all of them alike; ratios hold where
absolute times do not.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from attm_core.backbone.config import FluxAudioConfig
from attm_core.files import read_json, write_json

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def reference_flux_audio(checkout: Path, config: FluxAudioConfig) -> torch.nn.Module:
    """The reference's FluxAudio with the sizes of ``config``, from a checkout of MeanAudio."""
    sys.path.insert(0, str(checkout))
    from meanaudio.model.networks import FluxAudio

    model: torch.nn.Module = FluxAudio(
        latent_dim=config.n_channels,
        text_dim=config.token_width,
        text_c_dim=config.pooled_width,
        hidden_dim=config.width,
        depth=config.n_joint + config.n_fused,
        fused_depth=config.n_fused,
        num_heads=config.n_heads,
        latent_seq_len=config.n_latents,
        text_seq_len=config.n_tokens,
        use_rope=True,
    )
    return model


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def in_turn(variants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, Any]]:
    """Median and best time of each variant over ``rounds`` rounds, one call a variant a round."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, work in variants.items():
            times[name].append(timed(work))
    return {name: summary(pairs) for name, pairs in times.items()}


def summary(pairs: list[tuple[float, float]]) -> dict[str, float | int]:
    """Seconds a call: wall (median, best) and processor (best, all threads together)."""
    wall = sorted(pair[0] for pair in pairs)
    return {
        "wall_s_median": wall[len(wall) // 2],
        "wall_s_best": wall[0],
        "processor_s_best": min(pair[1] for pair in pairs),
        "rounds": len(pairs),
    }


def ratios(
    reference: Mapping[str, float] | None, ours: Mapping[str, float]
) -> dict[str, float] | None:
    """How many times longer the reference takes: by the clock, and by processor time.

    On an idle machine the two agree; on a shared one the second is the one to read.
    """
    if reference is None:
        return None
    keys = ("wall_s_best", "processor_s_best")
    return {key: reference[key] / ours[key] for key in keys}


def matmul_gflops(dtype: torch.dtype, n: int = 2048) -> float:
    """Plain matrix-product rate in this run, best of five."""
    a = torch.randn(n, n, generator=torch.Generator().manual_seed(0)).to(dtype)
    a @ a
    return 2 * n**3 / min(timed(lambda: a @ a)[0] for _ in range(5)) / 1e9


def gflop(call: Callable[[], object], network: nn.Module) -> float:
    """Operations of one call: attention as plain products, which PyTorch's counter knows."""
    of_lstms = 0

    def lstm(module: nn.LSTM, args: tuple[Tensor, ...], output: Any) -> None:
        nonlocal of_lstms
        steps = args[0].shape[0] * args[0].shape[1]
        matrices = [value for name, value in module.named_parameters() if "weight" in name]
        of_lstms += 2 * steps * sum(value.numel() for value in matrices)

    found = [module for module in network.modules() if isinstance(module, nn.LSTM)]
    handles = [module.register_forward_hook(lstm) for module in found]
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        call()
    for handle in handles:
        handle.remove()
    return (counter.get_total_flops() + of_lstms) / 1e9


def machine() -> dict[str, Any]:
    """Where the figures were taken, with the load of everything else on it."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load_1_min": round(os.getloadavg()[0], 1),
        "matmul_gflops_float32": matmul_gflops(torch.float32),
        "matmul_gflops_bfloat16": matmul_gflops(torch.bfloat16),
    }


def report(benchmark: str, rows: list[dict[str, Any]], **more: Any) -> None:
    """Write ``results/benchmarks/<benchmark>.json`` and print the rows."""
    found = {"benchmark": benchmark, "machine": machine(), "rows": rows, **more}
    write_json(RESULTS / f"{benchmark}.json", found)
    for row in rows:
        print(row)


def report_against_reference(benchmark: str, rows: list[dict[str, Any]]) -> None:
    """As `report`; a run without the reference keeps the last one that had it, beside its own.

    Ratios hold within one run only, so the reference's times are never mixed with later ones.
    """
    path = RESULTS / f"{benchmark}.json"
    before = read_json(path) if path.exists() else {}
    if has_reference(before):
        before = {"with_reference": {key: before[key] for key in ("machine", "rows")}}
    kept = {} if has_reference({"rows": rows}) else before
    report(benchmark, rows, **{key: kept[key] for key in ("with_reference",) if key in kept})


def has_reference(found: Mapping[str, Any]) -> bool:
    """Whether a run was made with a checkout of the reference."""
    return any(row["variant"].startswith("reference") for row in found.get("rows", []))
