"""Rotary positions and the normalisation of queries and keys (Section III-A), in real arithmetic.

The reference rotates *adjacent* channel pairs (2k, 2k + 1) of each head. Attention only ever sees
dot products of queries with keys, so any one permutation of the head channels of both leaves it
unchanged: here the even channels come first and the odd ones after them (:func:`split_order`), the
two members of a pair lie in two contiguous halves, and no complex number or strided gather is
needed. :class:`attm_core.backbone.blocks.Attention` permutes its weight rows to match.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

THETA = 10_000.0
EPS = torch.finfo(torch.float32).eps  # what nn.RMSNorm(eps=None) uses for a float32 input


def split_order(n_heads: int, head_width: int) -> Int[Tensor, " rows"]:
    """Rows of the reference's qkv matrix in the order (q, k, v), then head, then channel.

    Reference row ``(h·d + c)·3 + j`` holds channel c of head h of q (j = 0), k (1) or v (2). The
    channels of q and k are listed even ones first; v keeps its order, since the output uses it.
    """
    rows = torch.arange(3 * n_heads * head_width).view(n_heads, head_width, 3)
    q_k = torch.cat([rows[:, 0::2], rows[:, 1::2]], dim=1)
    return torch.cat([q_k[..., 0].flatten(), q_k[..., 1].flatten(), rows[..., 2].flatten()])


def rotary_table(length: int, head_width: int, first: int = 0) -> Float[Tensor, "2 n d/2"]:
    """Cosines and sines of the angles p·10000^(−2k/d), positions p = first … first + length − 1.

    Args:
        length: number of tokens n.
        head_width: channels of a head, d, even.
        first: position of the first token (−1 for a stream that carries a prepended token, so that
            the other tokens keep the positions they have without it).
    """
    exponent = torch.arange(0, head_width, 2, dtype=torch.float32) / head_width
    position = torch.arange(first, first + length, dtype=torch.float32)
    angle = position[:, None] * (1.0 / THETA**exponent)
    return torch.stack([angle.cos(), angle.sin()])


def normalize_and_rotate(
    q_k: Float[Tensor, "B n 2 H d"],
    weights: tuple[Float[Tensor, " d"], Float[Tensor, " d"]],
    table: Float[Tensor, "2 n d/2"],
) -> Float[Tensor, "B n 2 H d"]:
    """RMS-normalise queries and keys over the head, scale by the learned weights, rotate.

    The weights are folded into the table, which is smaller than the activations by B·H. Computed
    in float32 whatever the input: in bfloat16 the reference's eps would be 7.8e-3.

    Args:
        q_k: queries and keys, channels in the order of :func:`split_order`.
        weights: learned scales of q and of k in the reference's channel order.
        table: from :func:`rotary_table`.
    """
    x = q_k.float()
    cos, sin = (part[:, None, None, None] for part in table)
    scale = torch.stack([torch.stack([w[0::2], w[1::2]]) for w in weights])[:, None]
    kept = (scale * cos).flatten(-2)  # (n, 2, 1, d)
    even, odd = scale.unbind(-2)
    crossed = torch.cat([-odd * sin[..., 0, :], even * sin[..., 0, :]], dim=-1)
    partner = x.unflatten(-1, (2, -1)).flip(-2).flatten(-2)
    inverse_rms = torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS)
    return (torch.addcmul(x * kept, partner, crossed) * inverse_rms).to(q_k.dtype)
