"""Joint classifier-free guidance on text and reward: Section III-E(a), Eq. (2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.errors import ConfigError, InputError

if TYPE_CHECKING:
    from attm_core.backbone.flux_audio import Conditions

GuidedAxis = Literal["joint", "text", "score"]

# What the released command puts in the place of ∅_t (the default of its script).
RELEASED_NEGATIVE_PROMPT = (
    "noise, distortion, low quality, static, hum, hiss, clipping, muffled, amateur recording"
)
NULL_SCORE = 0.0  # ∅_s, Section III-B; the network sees its Fourier features, not a zero embedding


class VelocityModel(Protocol):
    """What guidance and sampling need of the backbone (``FluxAudio`` meets it)."""

    def project(self, conditions: Conditions) -> Conditions:
        """Conditions at model width; they do not change along the trajectory."""
        ...

    def velocity(self, x_t: Tensor, t: Tensor, projected: Conditions, s: Tensor | None) -> Tensor:
        """Velocity (B, N, C) at ``x_t`` (B, N, C) and ``t`` (B,) under scores ``s`` (B,)."""
        ...

    def null_conditions(self, batch: int) -> Conditions:
        """The text-null ∅_t repeated ``batch`` times."""
        ...


def joint_guidance(
    v_cond: Float[Tensor, "*shape"], v_null: Float[Tensor, "*shape"], w: float
) -> Float[Tensor, "*shape"]:
    """Combine the two velocities of Eq. (2).

    Args:
        v_cond: v(x_t, t, c, s).
        v_null: v(x_t, t, ∅_t, ∅_s), same shape.
        w: guidance scale; 1 gives ``v_cond``, 0 gives ``v_null``, above 1 extrapolates.

    Returns:
        ṽ, the same shape.

    >>> joint_guidance(torch.tensor([2.0]), torch.tensor([1.0]), 4.0)
    tensor([5.])
    """
    return v_null + w * (v_cond - v_null)  # Eq. (2)


@dataclass(frozen=True)
class JointGuidance:
    """The guided velocity field of one batch of prompts, ``guided(x_t, t) -> ṽ``.

    Both branches run as one batch of 2B; at ``w`` = 1 or 0 one branch has no weight and is skipped.

    Attributes:
        model: the backbone.
        conditions: c for B prompts.
        null_conditions: what stands in the unconditional branch for B prompts.
        s: input scores (B,), or None for a backbone without score head.
        null_s: scores of the unconditional branch (B,), or None with ``s``.
        w: guidance scale.
    """

    model: VelocityModel
    conditions: Conditions
    null_conditions: Conditions
    s: Tensor | None
    null_s: Tensor | None
    w: float

    def __post_init__(self) -> None:
        if (self.s is None) != (self.null_s is None):
            raise InputError("s and null_s must both be given or both be None")
        sizes = [self.conditions.pooled.shape[0], self.null_conditions.pooled.shape[0]]
        sizes += [score.shape[0] for score in (self.s, self.null_s) if score is not None]
        if len(set(sizes)) > 1:
            raise InputError(f"conditions and scores differ in batch size: {sizes}")

    @cached_property
    def branches(self) -> tuple[Conditions, Tensor | None]:
        """Projected conditions and scores of what has to run, built once for all steps."""
        if self.w == 1.0:
            return self.model.project(self.conditions), self.s
        if self.w == 0.0:
            return self.model.project(self.null_conditions), self.null_s
        conditions = concatenate_conditions(self.conditions, self.null_conditions)
        scores = None
        if self.s is not None and self.null_s is not None:
            scores = torch.cat([self.s, self.null_s])
        return self.model.project(conditions), scores

    def __call__(self, x_t: Float[Tensor, "B N C"], t: float) -> Float[Tensor, "B N C"]:
        """ṽ at ``x_t`` and flow time ``t`` in [0, 1] (1 is noise)."""
        projected, scores = self.branches
        copies = projected.pooled.shape[0] // x_t.shape[0]
        times = x_t.new_full((copies * x_t.shape[0],), t)
        velocity = self.model.velocity(torch.cat([x_t] * copies), times, projected, scores)
        if copies == 1:
            return velocity
        v_cond, v_null = velocity.chunk(2)
        return joint_guidance(v_cond, v_null, self.w)


def concatenate_conditions(first: Conditions, second: Conditions) -> Conditions:
    """Stack two batches of conditions along the batch axis."""
    return type(first)(
        tokens=torch.cat([first.tokens, second.tokens]),
        pooled=torch.cat([first.pooled, second.pooled]),
    )


def guide(
    model: VelocityModel,
    conditions: Conditions,
    s: Tensor | None,
    w: float,
    negative: Conditions | None = None,
    axis: GuidedAxis = "joint",
) -> JointGuidance:
    """Choose what the unconditional branch of Eq. (2) sees.

    Args:
        model: the backbone.
        conditions: c for B prompts.
        s: input scores (B,), or None without score head.
        w: guidance scale.
        negative: conditions of a negative prompt in place of ∅_t.
        axis: ``"joint"`` nulls text and score (the paper); ``"text"`` keeps ``s`` in both branches,
            so that only the text is amplified; ``"score"`` keeps the text.

    Returns:
        The guided velocity field.

    Raises:
        ConfigError: unknown axis, ``"score"`` without scores or with a negative prompt.
    """
    if axis not in ("joint", "text", "score"):
        raise ConfigError(f"guided axis {axis!r} is not one of joint, text, score")
    if axis == "score" and (s is None or negative is not None):
        raise ConfigError("axis 'score' needs a score and keeps the text: give s, not negative")
    # ∅_t as the paper writes it; the released command encodes RELEASED_NEGATIVE_PROMPT instead,
    # which `negative` reproduces.
    null = model.null_conditions(conditions.pooled.shape[0]) if negative is None else negative
    if axis == "score":
        null = conditions
    null_s = s if s is None or axis == "text" else torch.full_like(s, NULL_SCORE)
    return JointGuidance(model, conditions, null, s, null_s, w)
