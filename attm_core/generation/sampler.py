"""Euler sampling of latents from noise: Section III-E(a), σ_i = 1 − i/n."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.errors import ConfigError, InputError
from attm_core.generation.guidance import GuidedAxis, VelocityModel, guide
from attm_core.precision import fast_autocast
from attm_core.progress import track

if TYPE_CHECKING:
    from attm_core.backbone.flux_audio import Conditions

PROMPT_PREFIX = "high quality instrumental music, "  # Section III-E(a)

Velocity = Callable[[Tensor, float], Tensor]
OnStep = Callable[[int, float, Tensor], None]


class LatentModel(VelocityModel, Protocol):
    """A backbone that also knows the scale of its latents."""

    def unnormalize(self, latents: Tensor) -> Tensor:
        """Latents (B, N, C) at the codec's scale."""
        ...


@dataclass(frozen=True)
class GenerationConfig:
    """How latents are drawn; the defaults are the paper's single-value protocol.

    Attributes:
        s: score scalar, or None for a backbone without score head.
        w: guidance scale of Eq. (2).
        n_steps: Euler steps.
        batch_size: prompts at once (a guided step runs twice as many sequences).
        axis: what the unconditional branch nulls, see ``guidance.guide``.
        bf16: run the backbone under bfloat16 autocast where the device is fast at it; the state x
            stays float32.
        device: where the backbone is; batches are brought there. None: where the noise is.
    """

    s: float | None = 5.0
    w: float = 4.0
    n_steps: int = 25
    batch_size: int = 32
    axis: GuidedAxis = "joint"
    bf16: bool = False
    device: torch.device | None = None

    def __post_init__(self) -> None:
        if self.n_steps < 1 or self.batch_size < 1:
            raise ConfigError(
                f"n_steps and batch_size must be at least 1, got {self.n_steps}, {self.batch_size}"
            )


def prompt_seeds(seed: int, n: int, one_seed: bool = False) -> list[int]:
    """The noise seed of each of ``n`` prompts.

    Args:
        seed: the seed of the submission (42 and 55 in the paper).
        n: number of prompts.
        one_seed: the same seed, hence the same noise, for every prompt.

    Returns:
        ``seed + i`` for prompt i, or ``seed`` n times.

    >>> prompt_seeds(42, 3), prompt_seeds(42, 2, one_seed=True)
    ([42, 43, 44], [42, 42])
    """
    # PAPER-SILENT: "a seed fixed per submission" does not say whether prompts share their noise.
    # The released script draws prompt i from seed + i; that is the default, `one_seed` the other.
    return [seed] * n if one_seed else [seed + i for i in range(n)]


def initial_noise(seeds: Sequence[int], shape: tuple[int, int]) -> Float[Tensor, "B N C"]:
    """x_1 ~ N(0, 1) of each seed, drawn on the CPU so that every device starts alike.

    Args:
        seeds: one seed a prompt; prompts with equal seeds get equal noise.
        shape: (N, C) of the latents.

    Returns:
        Noise (B, N, C); row i depends on ``seeds[i]`` alone, not on the batch around it.
    """
    # PAPER-DEVIATION: the released script draws the noise with a generator of the GPU, whose stream
    # differs from the CPU's: seeds 42 and 55 do not give the released samples here.
    rows = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows) if rows else torch.empty(0, *shape)


def sigmas(n_steps: int) -> list[float]:
    """σ_i = 1 − i/n for i = 0 … n.

    >>> sigmas(4)
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    return [1.0 - i / n_steps for i in range(n_steps + 1)]


def euler_sample(
    velocity: Velocity,
    x_1: Float[Tensor, "B N C"],
    n_steps: int,
    on_step: OnStep | None = None,
) -> Float[Tensor, "B N C"]:
    """Integrate dx/dt = v from noise at t = 1 to data at t = 0.

    Args:
        velocity: (x_t, t) → v, t a number in [0, 1].
        x_1: noise.
        n_steps: number of equal Euler steps.
        on_step: called as ``on_step(i, t, x_t)`` before each step and once at the end (t = 0).

    Returns:
        x_0, normalised latents.
    """
    times = sigmas(n_steps)
    x_t = x_1
    for i, (t, t_next) in enumerate(pairwise(times)):
        if on_step is not None:
            on_step(i, t, x_t)
        x_t = x_t + (t_next - t) * velocity(x_t, t)
    if on_step is not None:
        on_step(n_steps, 0.0, x_t)
    return x_t


# no_grad and not inference_mode: what a model caches while it samples must stay usable in training.
@torch.no_grad()
def generate_latents(
    model: LatentModel,
    conditions: Conditions,
    config: GenerationConfig,
    noise: Float[Tensor, "B N C"],
    negative: Conditions | None = None,
) -> Float[Tensor, "B N C"]:
    """Draw one latent a prompt.

    Args:
        model: the backbone, in evaluation mode.
        conditions: c of B prompts.
        config: s, w, steps, batch size, precision.
        noise: x_1, see ``initial_noise``.
        negative: conditions of a negative prompt for B prompts, in place of ∅_t.

    Returns:
        Un-normalised latents, float32, on the device of ``noise``.

    Raises:
        InputError: conditions, noise or negative differ in batch size.
    """
    n = noise.shape[0]
    for name, given in (("conditions", conditions), ("negative", negative)):
        if given is not None and given.pooled.shape[0] != n:
            raise InputError(f"{name} hold {given.pooled.shape[0]} prompts but noise {n}")
    starts = range(0, n, config.batch_size)
    rows = [slice(start, start + config.batch_size) for start in starts]
    drawn = [
        _draw(model, _rows(conditions, row), config, noise[row], negative and _rows(negative, row))
        for row in track(rows, f"sampling {n} latents")
    ]
    return torch.cat(drawn) if drawn else torch.empty_like(noise)


def _draw(
    model: LatentModel,
    conditions: Conditions,
    config: GenerationConfig,
    x_1: Tensor,
    negative: Conditions | None,
) -> Tensor:
    home = x_1.device
    if config.device not in (None, home):
        x_1, conditions = x_1.to(config.device), conditions.to(config.device)
        negative = negative and negative.to(config.device)
    s = None if config.s is None else x_1.new_full((x_1.shape[0],), config.s)
    guided = guide(model, conditions, s, config.w, negative, config.axis)

    def velocity(x_t: Tensor, t: float) -> Tensor:
        # PAPER-SILENT: III-E names no number format. The released script samples in float32 with
        # TF32 products; bfloat16 autocast, where asked for, is faster and rounds more.
        with fast_autocast(x_t.device.type, config.bf16):
            return guided(x_t, t).float()

    return model.unnormalize(euler_sample(velocity, x_1, config.n_steps)).to(home)


def _rows(conditions: Conditions, row: slice) -> Conditions:
    return type(conditions)(tokens=conditions.tokens[row], pooled=conditions.pooled[row])
