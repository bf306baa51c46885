"""Rotary positions and the normalisation of queries and keys (Section III-A), in real arithmetic.

The reference rotates *adjacent* channel pairs (2k, 2k + 1) of each head. Attention only ever sees
dot products of queries with keys, so any one permutation of the head channels of both leaves it
unchanged: here the even channels come first and the odd ones after them (:func:`split_order`), the
two members of a pair lie in two contiguous halves, and no complex number or strided gather is
needed. :class:`attm_core.backbone.blocks.Attention` permutes its weight rows to match.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

_THETA = 10_000.0
_EPS = torch.finfo(torch.float32).eps  # what nn.RMSNorm(eps=None) uses for a float32 input


def split_order(n_heads: int, head_width: int) -> Int[Tensor, " rows"]:
    """Rows of the reference's qkv matrix in the order (q, k, v), then head, then channel.

    Reference row ``(h·d + c)·3 + j`` holds channel c of head h of q (j = 0), k (1) or v (2). The
    channels of q and k are listed even ones first; v keeps its order, since the output uses it.
    """
    rows = torch.arange(3 * n_heads * head_width).view(n_heads, head_width, 3)
    q_k = torch.cat([rows[:, 0::2], rows[:, 1::2]], dim=1)
    return torch.cat([q_k[..., 0].flatten(), q_k[..., 1].flatten(), rows[..., 2].flatten()])


def rotary_table(length: int, head_width: int, first: int = 0) -> Float[Tensor, "2 n half"]:
    """Cosines and sines of the angles p·10000^(−2k/d), positions p = first … first + length − 1.

    ``head_width`` d is even. ``first`` is −1 for a stream that carries a prepended token, so that
    the other tokens keep the positions they have without it.
    """
    exponent = torch.arange(0, head_width, 2, dtype=torch.float32) / head_width
    position = torch.arange(first, first + length, dtype=torch.float32)
    angle = position[:, None] * (1.0 / _THETA**exponent)
    return torch.stack([angle.cos(), angle.sin()])


def normalize_and_rotate(
    q_k: Float[Tensor, "B n 2 H d"],
    weights: tuple[Float[Tensor, " d"], Float[Tensor, " d"]],
    table: Float[Tensor, "2 n half"],
) -> Float[Tensor, "B n 2 H d"]:
    """RMS-normalise queries and keys over the head, scale by the learned weights, rotate.

    Computed in float32 whatever the input: in bfloat16 the reference's eps would be 7.8e-3.
    Channels are in the order of `split_order`, but the learned scales in the reference's.
    """
    cos, sin = table
    scale = torch.stack([torch.cat([w[0::2], w[1::2]]) for w in weights])[:, None]
    cosines = torch.cat([cos, cos], dim=-1)[:, None, None]  # (n, 1, 1, d)
    sines = torch.cat([-sin, sin], dim=-1)[:, None, None]
    out: Tensor = _NormalizeAndRotate.apply(q_k, scale, cosines, sines)
    return out


def _swap_halves(x: Tensor) -> Tensor:
    return x.roll(x.shape[-1] // 2, dims=-1)


class _NormalizeAndRotate(torch.autograd.Function):
    """y = R(w ⊙ x̂), x̂ = x·r, r = (mean x² + eps)^−½, R x = x·cos + swap(x)·sin.

    Written out because it is a third of a small model's attention time: autograd would keep six
    float32 copies of x and visit them twenty times. With g = Rᵀ dy and p = g ⊙ x̂,
    dw = Σ p and dx = r·(w ⊙ g − x̂·(p·w)/d).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x32 = x.float()
        norm = torch.linalg.vector_norm(x32, dim=-1, keepdim=True)
        r = torch.rsqrt(norm.square() / x.shape[-1] + _EPS)
        ctx.save_for_backward(x, r, w, cos, sin)
        scaled = x32 * w
        return (scaled * cos).addcmul_(_swap_halves(scaled), sin).mul_(r).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, r, w, cos, sin = ctx.saved_tensors
        g = dy.float()
        g = (g * cos).addcmul_(_swap_halves(g), sin, value=-1.0)  # swap∘sin is antisymmetric
        x_hat = x.float() * r
        p = g * x_hat
        along = (p * w).sum(-1, keepdim=True) / x.shape[-1]
        dx = g.mul_(w).addcmul_(x_hat, along, value=-1.0).mul_(r)
        return dx.to(x.dtype), p.sum((0, 1, 3)).unsqueeze(1), None, None
