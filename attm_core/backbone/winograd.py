"""Kernel-3 feed-forward layers with half the multiplications, for sampling (Winograd, F(m, 3)).

m outputs of a kernel-3 convolution cost 3·m products; from m + 2 transformed inputs they cost
m + 2: ``y = Aᵀ[(G g) ⊙ (Bᵀ d)]`` (Lavin and Gray, arXiv:1509.09308, §4.1), where ⊙ becomes one
matrix product over channels for each of the m + 2 rows. The hidden activation stays in the order
(phase, batch, tile) between the two convolutions, since SwiGLU acts on each entry alone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Transform(NamedTuple):
    """Bᵀ (m + 2, m + 2), G (m + 2, 3) and Aᵀ (m, m + 2)."""

    b_t: tuple[tuple[float, ...], ...]
    g: tuple[tuple[float, ...], ...]
    a_t: tuple[tuple[float, ...], ...]


F_2_3 = Transform(
    b_t=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    g=((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    a_t=((1, 1, 1, 0), (0, 1, -1, -1)),
)
F_4_3 = Transform(
    b_t=(
        (4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1),
    ),
    g=(
        (1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1),
    ),
    a_t=((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
)  # fmt: skip


class WinogradSwiGLU(nn.Module):
    """``w2(silu(w1·x) ⊙ (w3·x))`` with kernel-3 convolutions and fixed weights.

    Args:
        w1, w3: (H, D, 3) weights of the input maps.
        w2: (D, H, 3) weight of the output map.
        dtype: of the products; the result has it too.
        transform: F(2, 3) saves a third of the products, F(4, 3) half, at a larger rounding error.
    """

    gate_value: Tensor
    output: Tensor
    b_t: Tensor
    a_t: Tensor

    def __init__(
        self, w1: Tensor, w3: Tensor, w2: Tensor, dtype: torch.dtype, transform: Transform = F_4_3
    ):
        super().__init__()
        g = torch.tensor(transform.g, dtype=torch.float64)
        self.register_buffer("gate_value", _transformed(torch.cat([w1, w3]), g, dtype))
        self.register_buffer("output", _transformed(w2, g, dtype))
        self.register_buffer("b_t", torch.tensor(transform.b_t, dtype=dtype))
        self.register_buffer("a_t", torch.tensor(transform.a_t, dtype=dtype))

    def forward(self, x: Float[Tensor, "B n D"]) -> Float[Tensor, "B n D"]:
        """The feed-forward layer."""
        phases, n = self.a_t.shape[0], x.shape[1]
        n_tiles = -(-n // phases)
        padded = F.pad(x.to(self.b_t.dtype), (0, 0, 0, n_tiles * phases - n))
        tiled = padded.unflatten(1, (n_tiles, phases)).permute(2, 0, 1, 3)
        gate, value = self._convolve(tiled, self.gate_value).chunk(2, dim=-1)
        hidden = F.silu(gate) * value
        # What the last tile computed beyond the sequence is padding to the second convolution.
        hidden[phases - (n_tiles * phases - n) :, :, -1] = 0
        out = self._convolve(hidden, self.output).permute(1, 2, 0, 3)
        return out.flatten(1, 2)[:, :n]

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """(phase, B, tile, I) → (phase, B, tile, O): entry p of tile j is time m·j + p."""
        before = F.pad(x[-1:, :, :-1], (0, 0, 1, 0))
        after = F.pad(x[:1, :, 1:], (0, 0, 0, 1))
        d = torch.cat([before, x, after])
        taps, batch, n_tiles, n_in = d.shape
        transformed = (self.b_t @ d.view(taps, -1)).view(taps, batch * n_tiles, n_in)
        product = torch.bmm(transformed, weight)
        return (self.a_t @ product.view(taps, -1)).view(-1, batch, n_tiles, weight.shape[-1])


def _transformed(
    weight: Float[Tensor, "O I 3"], g: Float[Tensor, "taps 3"], dtype: torch.dtype
) -> Float[Tensor, "taps I O"]:
    return torch.einsum("tk,oik->tio", g, weight.double()).to(dtype).contiguous()
