"""Euler sampling of latents from noise: Section III-E(a), σ_i = 1 − i/n."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.errors import InputError

_MAX_SEED = 2**63 - 1

Velocity = Callable[[Tensor, float], Tensor]
_OnStep = Callable[[int, float, Tensor], None]


def prompt_seeds(seed: int, n: int, one_seed: bool = False) -> list[int]:
    """The noise seed of each of ``n`` prompts: ``seed + i`` for prompt i (42 and 55 in the paper).

    ``one_seed`` gives every prompt the same seed, hence the same noise.

    Raises:
        InputError: a seed would leave 0 … 2^63 − 1.

    >>> prompt_seeds(42, 3), prompt_seeds(42, 2, one_seed=True)
    ([42, 43, 44], [42, 42])
    """
    if not 0 <= seed <= _MAX_SEED - n:
        raise InputError(f"seed {seed} is not in 0 … 2^63 − 1")
    # PAPER-SILENT: "a seed fixed per submission" does not say whether prompts share their noise.
    # The release draws prompt i from seed + i (C77); that is the default, `one_seed` the other.
    return [seed] * n if one_seed else [seed + i for i in range(n)]


def initial_noise(seeds: Sequence[int], shape: tuple[int, int]) -> Float[Tensor, "B N C"]:
    """x_1 ~ N(0, 1) of shape (N, C) per seed, drawn on the CPU so that every device starts alike.

    Row i depends on ``seeds[i]`` alone, not on the batch around it.
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
    on_step: _OnStep | None = None,
) -> Float[Tensor, "B N C"]:
    """Integrate dx/dt = v from noise x_1 at t = 1 to data at t = 0; gives normalised latents x_0.

    ``velocity`` maps (x_t, t) to v. ``on_step(i, t, x_t)`` is called before each of ``n_steps``
    equal steps and once at the end (t = 0).
    """
    x_t = x_1
    for i, (t, t_next) in enumerate(pairwise(sigmas(n_steps))):
        if on_step is not None:
            on_step(i, t, x_t)
        x_t = x_t + (t_next - t) * velocity(x_t, t)
    if on_step is not None:
        on_step(n_steps, 0.0, x_t)
    return x_t
