"""One training step at mini size: forward, backward, clipping, AdamW; batch 64, bfloat16.

    python benchmarks/training_step.py [--reference CHECKOUT_OF_MEANAUDIO] [--threads 2]
    python benchmarks/training_step.py --recount

D = 96 (3 heads) as in the issue and D = 64 (2 heads), 2 + 2 blocks, 32 latents and 16 text tokens.
Same batch, variants in turn. Without a checkout the reference's rows are left out, and the last run
that had them is kept beside the new one. ``--recount`` times nothing: it counts the operations of
the rows that are there. Writes ``results/benchmarks/training_step.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from side_by_side import (
    RESULTS,
    gflop,
    in_turn,
    ratios,
    reference_flux_audio,
    report_against_reference,
)
from torch import Tensor, nn

from attm_core.backbone.flux_audio import Conditions, FluxAudio, FluxAudioConfig
from attm_core.files import read_json, write_json

BATCH = 64
WIDTHS = (96, 64)


def batch(config: FluxAudioConfig) -> tuple[Tensor, Tensor, Conditions, Tensor]:
    """x_t, t, conditions and the target velocity."""
    generator = torch.Generator().manual_seed(0)
    x_t, target = torch.randn(
        2, BATCH, config.n_latents, config.n_channels, generator=generator
    ).unbind(0)
    tokens = torch.randn(BATCH, config.n_tokens, config.token_width, generator=generator)
    pooled = torch.randn(BATCH, config.pooled_width, generator=generator)
    return x_t, torch.rand(BATCH, generator=generator), Conditions(tokens, pooled), target


def step(model: nn.Module, forward: Callable[[], Tensor], target: Tensor) -> Callable[[], None]:
    """A whole optimisation step under bfloat16 autocast."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, betas=(0.9, 0.95), fused=True)

    def work() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = (forward().float() - target).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return work


def mini(width: int) -> FluxAudioConfig:
    latents = {"n_channels": 16, "n_latents": 32}
    text = {"n_tokens": 16, "token_width": 384, "pooled_width": 128}
    return FluxAudioConfig(
        **latents, **text, width=width, n_heads=width // 32, n_joint=2, n_fused=2
    )


def operations(width: int) -> float:
    """10⁹ operations of one step; the reference's network is the same."""
    config = mini(width)
    x_t, t, conditions, target = batch(config)
    model = FluxAudio(config, torch.Generator().manual_seed(0))
    return gflop(step(model, lambda: model(x_t, t, conditions), target), model)


def variants(width: int, checkout: Path | None) -> dict[str, Callable[[], None]]:
    config = mini(width)
    x_t, t, conditions, target = batch(config)
    model = FluxAudio(config, torch.Generator().manual_seed(0))
    made = {"ours": step(model, lambda: model(x_t, t, conditions), target)}
    if checkout is not None:
        theirs = reference_flux_audio(checkout, config)
        tokens, pooled = conditions.tokens, conditions.pooled
        made["reference"] = step(theirs, lambda: theirs(x_t, tokens, pooled, t), target)
    return made


def run(checkout: Path | None, rounds: int) -> list[dict[str, Any]]:
    rows = []
    for width in WIDTHS:
        count, works = operations(width), variants(width, checkout)
        for work in works.values():
            work()
        times = in_turn(works, rounds)
        reference = times.get("reference")
        rows += [
            {
                "variant": f"{name} D={width}",
                "gflop": count,
                **summary,
                "reference_over_this": ratios(reference, summary),
            }
            for name, summary in times.items()
        ]
    return rows


def recount() -> None:
    """Add the number of operations to the rows of the file."""
    path = RESULTS / "training_step.json"
    found, counts = read_json(path), {width: operations(width) for width in WIDTHS}
    runs = [found, found.get("with_reference", {"rows": []})]
    for row in [row for run in runs for row in run["rows"]]:
        row["gflop"] = counts[int(row["variant"].partition("D=")[2])]
    write_json(path, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--recount", action="store_true", help="operations only, no times")
    options = parser.parse_args()
    if options.recount:
        recount()
        return
    torch.set_num_threads(options.threads)
    report_against_reference("training_step", run(options.reference, options.rounds))


if __name__ == "__main__":
    main()
