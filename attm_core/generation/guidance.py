"""Joint classifier-free guidance on text and reward: Section III-E(a), Eq. (2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.backbone.config import Conditions
from attm_core.constants import NULL_SCORE
from attm_core.errors import ConfigError, InputError

# What the released command puts in the place of ∅_t (the default of its script).
RELEASED_NEGATIVE_PROMPT = (
    "noise, distortion, low quality, static, hum, hiss, clipping, muffled, amateur recording"
)


class VelocityModel(Protocol):
    """What guidance and sampling need of the backbone (``FluxAudio`` meets it)."""

    def project(self, conditions: Conditions) -> Conditions:
        """Conditions at model width; they do not change along the trajectory."""

    def velocity(self, x_t: Tensor, t: Tensor, projected: Conditions, s: Tensor | None) -> Tensor:
        """Velocity (kB, N, C) at ``x_t`` (B, N, C) for k·B times, conditions and scores."""

    def null_conditions(self, batch: int) -> Conditions:
        """The text-null ∅_t repeated ``batch`` times."""

    def unnormalize(self, latents: Tensor) -> Tensor:
        """Latents (B, N, C) at the codec's scale."""


def joint_guidance(
    v_cond: Float[Tensor, "*shape"], v_null: Float[Tensor, "*shape"], w: float
) -> Float[Tensor, "*shape"]:
    """Eq. (2): ṽ from v(x_t, t, c, s) and v(x_t, t, ∅_t, ∅_s) of one shape.

    ``w`` = 1 gives ``v_cond``, 0 gives ``v_null``, above 1 extrapolates.

    >>> joint_guidance(torch.tensor([2.0]), torch.tensor([1.0]), 4.0)
    tensor([5.])
    """
    return v_null + w * (v_cond - v_null)  # Eq. (2)


def separate_guidance(
    v_cond: Float[Tensor, "*shape"],
    v_text: Float[Tensor, "*shape"],
    v_null: Float[Tensor, "*shape"],
    w: float,
    w_score: float,
) -> Float[Tensor, "*shape"]:
    """Eq. (2) along the chain ∅ → c → (c, s), with a scale for each step; beyond the paper.

    ``v_text`` is v(x_t, t, c, ∅_s), the others as in `joint_guidance`. ``w`` is the guidance scale
    of the text, ``w_score`` that of the score given the text; if they are equal, this is Eq. (2).
    """
    return joint_guidance(v_text, v_null, w) + w_score * (v_cond - v_text)


@dataclass(frozen=True)
class GuidedVelocity:
    """The guided velocity field of one batch of prompts, ``guided(x_t, t) -> ṽ``.

    All branches run as one batch; branches without weight (``w`` = 1 or 0) are skipped. They are
    conditions for B prompts and scores (B,): unconditional, with the text alone if ``w_score`` is
    given, with text and score.
    """

    model: VelocityModel
    branches: tuple[tuple[Conditions, Tensor | None], ...]
    w: float  # of Eq. (2), or of the text alone if ``w_score`` is given
    w_score: float | None = None  # of the score given the text; None guides both jointly

    @cached_property
    def projected(self) -> tuple[Conditions, Tensor | None, int]:
        """Projected conditions and scores of what has to run, built once for all steps."""
        branches = self.branches
        if self.w_score is None and self.w in (0.0, 1.0):
            branches = branches[-1:] if self.w == 1.0 else branches[:1]
        scores = [s for _, s in branches if s is not None]
        conditions = Conditions.cat([conditions for conditions, _ in branches])
        s = torch.cat(scores) if scores else None
        return self.model.project(conditions), s, len(branches)

    def __call__(self, x_t: Float[Tensor, "B N C"], t: float) -> Float[Tensor, "B N C"]:
        """ṽ at ``x_t`` and flow time ``t`` in [0, 1] (1 is noise)."""
        conditions, s, n_branches = self.projected
        times = x_t.new_full((n_branches * len(x_t),), t)
        v = self.model.velocity(x_t, times, conditions, s).chunk(n_branches)
        if n_branches == 1:
            return v[0]
        if self.w_score is None:
            return joint_guidance(v[1], v[0], self.w)
        return separate_guidance(v[2], v[1], v[0], self.w, self.w_score)


def guide(
    model: VelocityModel,
    conditions: Conditions,
    s: Tensor | None,
    w: float,
    negative: Conditions | None = None,
    w_score: float | None = None,
) -> GuidedVelocity:
    """The guided velocity field of B prompts with conditions c and scores (B,), None without head.

    ``negative`` are conditions of a negative prompt in place of ∅_t. ``w_score`` is a scale of its
    own for the score; ``w`` is then that of the text.

    Raises:
        ConfigError: ``w_score`` without a score.
        InputError: conditions, scores or negative differ in batch size.
    """
    n = len(conditions)
    # ∅_t as the paper writes it; the released command encodes RELEASED_NEGATIVE_PROMPT instead
    # (C73), which `negative` reproduces.
    null = model.null_conditions(n) if negative is None else negative
    sizes: Sequence[int] = [n, len(null), *([] if s is None else [len(s)])]
    if len(set(sizes)) > 1:
        raise InputError(f"conditions and scores differ in batch size: {sizes}")
    if s is None:
        if w_score is not None:
            raise ConfigError("w_score needs a score s and a backbone with a score head")
        return GuidedVelocity(model, ((null, None), (conditions, None)), w)
    null_s = torch.full_like(s, NULL_SCORE)
    text_only = () if w_score is None else ((conditions, null_s),)
    return GuidedVelocity(model, ((null, null_s), *text_only, (conditions, s)), w, w_score)
