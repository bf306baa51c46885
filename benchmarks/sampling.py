"""25-step joint-CFG sampling of one 10-s latent with FluxAudio-S at 44.1 kHz.

    python benchmarks/sampling.py [--reference CHECKOUT_OF_MEANAUDIO] [--threads 2] [--steps 25]

Same weights, same noise, same projected conditions. Every variant integrates its own trajectory,
and all advance in turn, a step each. Without a checkout the reference's rows are left out, and the
last run that had them is kept beside the new one. Writes ``results/benchmarks/sampling.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from side_by_side import ratios, reference_flux_audio, report_against_reference, summary, timed
from torch import Tensor

from attm_core.backbone.config import FluxAudioConfig
from attm_core.backbone.fast_sampling import FastFluxAudio
from attm_core.backbone.flux_audio import Conditions, FluxAudio
from attm_core.generation.guidance import joint_guidance

W = 4.0  # guidance scale of the paper
GFLOP_A_STEP = (
    2 * 82.05
)  # two velocities at 430 + 77 tokens, counted as the reference computes them
Velocity = Callable[[Tensor, Tensor, Conditions], Tensor]


def random_weights(generator: torch.Generator) -> FluxAudio:
    """FluxAudio-S with small random values where it starts at zero, so that all of it matters."""
    model = FluxAudio(FluxAudioConfig(), generator)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "adaLN" in name or name.startswith("final_layer"):
                parameter.normal_(0.0, 0.02, generator=generator)
        model.latent_mean.zero_()
        model.latent_std.fill_(1.0)
    return model


def under_autocast(velocity: Velocity) -> Velocity:
    def cast(x_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return velocity(x_t, t, conditions).float()

    return cast


def variants(model: FluxAudio, checkout: Path | None) -> dict[str, Velocity]:
    """Name → velocity; the first is the float32 truth of the comparison."""
    made: dict[str, Velocity] = {}
    if checkout is not None:
        reference = reference_flux_audio(checkout, model.config)
        reference.load_state_dict(model.state_dict())

        def theirs(x_t: Tensor, t: Tensor, projected: Conditions) -> Tensor:
            text = type("Projected", (), {"text_f": projected.tokens, "text_f_c": projected.pooled})
            out: Tensor = reference.predict_flow(x_t, t, text)
            return out

        made |= {"reference float32": theirs, "reference bfloat16": under_autocast(theirs)}
    return made | {
        "model float32": model.velocity,
        "model bfloat16": under_autocast(model.velocity),
        "frozen float32": FastFluxAudio(model).velocity,
        "frozen bfloat16": FastFluxAudio(model, torch.bfloat16).velocity,
        "frozen bfloat16 winograd": FastFluxAudio(model, torch.bfloat16, winograd=True).velocity,
    }


class Trajectory:
    """One variant's Euler integration, a step at a time."""

    def __init__(self, velocity: Velocity, x_1: Tensor, conditions: Conditions, n_steps: int):
        self.velocity, self.x, self.conditions = velocity, x_1, conditions
        self.t, self.n_steps = 1.0, n_steps
        self.times: list[tuple[float, float]] = []

    def step(self) -> None:
        both = torch.cat([self.x, self.x])
        v = self.velocity(both, torch.full((2,), self.t), self.conditions)
        self.x = self.x - joint_guidance(*v.chunk(2), W) / self.n_steps
        self.t -= 1 / self.n_steps


def run(checkout: Path | None, n_steps: int) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    model = random_weights(generator)
    x_1 = torch.randn(1, 430, 40, generator=generator)
    text = Conditions(
        torch.randn(1, 77, 1024, generator=generator), torch.randn(1, 512, generator=generator)
    )
    both = model.project(Conditions.cat([text, model.null_conditions(1)]))
    running = {}
    for name, velocity in variants(model, checkout).items():
        velocity(torch.cat([x_1, x_1]), torch.ones(2), both)  # first call: library set-up
        running[name] = Trajectory(velocity, x_1, both, n_steps)
    for _ in range(n_steps):
        for trajectory in running.values():
            trajectory.times.append(timed(trajectory.step))
    return [row(name, running, n_steps) for name in running]


def row(name: str, running: dict[str, Trajectory], n_steps: int) -> dict[str, Any]:
    ours, truth = running[name], next(iter(running.values()))
    step = summary(ours.times)
    references = [summary(other.times) for key, other in running.items() if "reference" in key]
    best = min(references, key=lambda times: times["processor_s_best"], default=None)
    error = torch.linalg.norm(ours.x - truth.x) / torch.linalg.norm(truth.x)
    return {
        "variant": name,
        "steps": n_steps,
        "wall_s": sum(wall for wall, _ in ours.times),
        **{f"step_{key}": value for key, value in step.items()},
        "relative_l2_to_first": error.item(),
        "reference_gflops_a_second": GFLOP_A_STEP / step["wall_s_best"],
        "best_reference_over_this": ratios(best, step),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=25)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.no_grad():
        report_against_reference("sampling", run(options.reference, options.steps))


if __name__ == "__main__":
    main()
