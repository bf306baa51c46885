"""Flow matching, the loss under every stage (Section III-A; the convention of the public backbone).

Noise sits at ``t = 1`` and data at ``t = 0``: ``x_t = (1 − t)·x_0 + t·x_1`` with data ``x_0`` and
noise ``x_1``, and the network learns the velocity ``v = x_1 − x_0`` of that straight line.
Weights of systems that run the other way (MMAudio) are not interchangeable with these.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def sample_time(batch: int, generator: torch.Generator) -> Float[Tensor, " B"]:
    """Draw one flow time a sample from the logit-normal: ``t = sigmoid(n)``, ``n ~ N(0, 1)``.

    Returns:
        Times in (0, 1), most of them near 1/2, where the velocity is hardest to tell.
    """
    # PAPER-SILENT: the paper names no distribution of t; the public backbone trains with the
    # logit-normal of mean 0 and scale 1, one t per sample.
    return torch.sigmoid(torch.randn(batch, generator=generator))


def interpolate(
    x_0: Float[Tensor, "B N C"], x_1: Float[Tensor, "B N C"], t: Float[Tensor, " B"]
) -> Float[Tensor, "B N C"]:
    """The point ``x_t = (1 − t)·x_0 + t·x_1`` on the line from data (t = 0) to noise (t = 1)."""
    return torch.lerp(x_0, x_1, t[:, None, None])


def flow_matching_loss(
    velocity: Float[Tensor, "B N C"], x_0: Float[Tensor, "B N C"], x_1: Float[Tensor, "B N C"]
) -> Float[Tensor, " B"]:
    """Mean squared error to the velocity ``x_1 − x_0`` over time and channels, one a sample.

    Computed in float32 whatever autocast made of ``velocity``: CRPO multiplies differences of
    these losses by 1,000, so their third decimal counts.
    """
    return (velocity.float() - (x_1 - x_0)).square().mean(dim=(1, 2))
