"""Flow matching, the loss under every stage (Section III-A), and null dropout (III-B, III-E).

Noise sits at ``t = 1`` and data at ``t = 0``: ``x_t = (1 − t)·x_0 + t·x_1`` with data ``x_0`` and
noise ``x_1``, and the network learns the velocity ``v = x_1 − x_0`` of that straight line.
Weights of systems that run the other way (MMAudio) are not interchangeable with these.

So that one network learns both branches of Eq. (2), text is nulled now and then as a whole (tokens
and pooled features together) and the score to ``∅_s = 0``, each with its own probability. ``∅_s``
is the number zero through the score embedding, a value inside the training range.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attm_core.backbone.config import Conditions
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.configuration import NullConfig
from attm_core.constants import NULL_SCORE


def sample_time(batch: int, generator: torch.Generator) -> Float[Tensor, " B"]:
    """Flow times (B,), most near ½: the logit-normal ``t = sigmoid(n)``, ``n ~ N(0, 1)``."""
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
    """Mean squared error to the velocity ``x_1 − x_0`` over time and channels, per sample.

    Computed in float32 whatever autocast made of ``velocity``: CRPO multiplies differences of
    these losses by 1,000, so their third decimal counts.
    """
    return (velocity.float() - (x_1 - x_0)).square().mean(dim=(1, 2))


def draw_nulls(
    config: NullConfig, batch: int, generator: torch.Generator
) -> tuple[Bool[Tensor, " B"], Bool[Tensor, " B"]]:
    """Which samples of a batch lose their text, and which their score."""
    text = torch.rand(batch, generator=generator) < config.text_prob
    if config.score_per == "sample":
        return text, torch.rand(batch, generator=generator) < config.score_prob
    whole = torch.rand(1, generator=generator) < config.score_prob
    return text, whole.repeat(batch)


def null_text(model: FluxAudio, conditions: Conditions, dropped: Bool[Tensor, " B"]) -> Conditions:
    """Replace the text features of the ``dropped`` samples by the model's null text."""
    return conditions.where(~dropped, model.null_conditions(len(conditions)))


def null_score(
    model: FluxAudio, score: Float[Tensor, " B"], dropped: Bool[Tensor, " B"] | None = None
) -> Float[Tensor, " B"] | None:
    """The scores for ``model``, ``∅_s = 0`` for the ``dropped`` ones; None if it takes none."""
    if model.config.score_head == "none":
        return None
    return score if dropped is None else score.masked_fill(dropped, NULL_SCORE)
