"""The speed twin of FluxAudio, for sampling: the same velocity, all that is constant done once.

Training needs weights that change; sampling evaluates fixed ones fifty times per clip. A
:class:`FastFluxAudio` holds a copy of the model in which weights are already in the product's
dtype and layout, and kernel-3 feed-forward layers use Winograd's products. Like the model it keeps
the residual streams, norms and rotations in float32.
"""

from __future__ import annotations

import copy
from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attm_core.backbone.blocks import Attention, ChannelLastConv, Heads, SwiGLU, split_heads
from attm_core.backbone.config import Conditions
from attm_core.backbone.flux_audio import FluxAudio

# A tenth of the products and most of the bfloat16 error: these stay float32 (velocity error at full
# size with small random AdaLN weights 0.9 % with all in bfloat16, see benchmarks/sampling.py).
_PRECISE = frozenset({
    "audio_input_proj", "t_embed", "text_cond_proj", "score_embed", "score_head",
    "adaLN_modulation", "final_layer",
})  # fmt: skip


@final
class FastFluxAudio:
    """A snapshot of a model for sampling; later changes of the model do not reach it.

    Matrix products are in ``dtype``, float32 or bfloat16 (but those of `_PRECISE`). ``winograd``
    uses Winograd's products in the audio feed-forward layers; by default in float32 only, where
    F(4, 3) costs 1.4e-6 of relative error. In bfloat16 it would treble the error: F(2, 3) is used.
    """

    def __init__(
        self, model: FluxAudio, dtype: torch.dtype = torch.float32, winograd: bool | None = None
    ):
        use = dtype == torch.float32 if winograd is None else winograd
        with torch.no_grad():
            self.fast = copy.deepcopy(model).eval().requires_grad_(False)
            _replace_children(self.fast, dtype, use)

    def __call__(
        self,
        x_t: Float[Tensor, "B N C"],
        t: Float[Tensor, " B"],
        conditions: Conditions,
        s: Float[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B N C"]:
        """The velocity, as ``FluxAudio.forward``."""
        return self.velocity(x_t, t, self.project(conditions), s)

    @torch.no_grad()
    def project(self, conditions: Conditions) -> Conditions:
        """Text features at model width, as ``FluxAudio.project``; once per trajectory."""
        with torch.autocast(conditions.pooled.device.type, enabled=False):
            return self.fast.project(conditions)

    @torch.no_grad()
    def velocity(
        self, x_t: Tensor, t: Tensor, projected: Conditions, s: Tensor | None = None
    ) -> Float[Tensor, "B N C"]:
        """The velocity from projected conditions, as ``FluxAudio.velocity``."""
        with torch.autocast(x_t.device.type, enabled=False):
            return self.fast.velocity(x_t, t, projected, s)

    def null_conditions(self, batch: int) -> Conditions:
        """The null text of the model."""
        return self.fast.null_conditions(batch)

    def unnormalize(self, latents: Tensor) -> Tensor:
        """Latents at the codec's scale."""
        return self.fast.unnormalize(latents)


def _replace_children(module: nn.Module, dtype: torch.dtype, winograd: bool) -> None:
    for name, child in module.named_children():
        of_child = torch.float32 if name in _PRECISE else dtype
        match child:
            case SwiGLU():
                setattr(module, name, _fast_swiglu(child, of_child, winograd))
            case Attention():
                setattr(module, name, _Attention(child, of_child))
            case ChannelLastConv() | nn.Linear():
                setattr(module, name, _Product(child.weight, child.bias, of_child))
            case _:
                _replace_children(child, of_child, winograd)


def _fast_swiglu(layer: SwiGLU, dtype: torch.dtype, winograd: bool) -> nn.Module:
    w1, w2, w3 = layer.w1.weight, layer.w2.weight, layer.w3.weight
    if winograd and w1.shape[2:] == (3,):
        transform = _F_4_3 if dtype == torch.float32 else _F_2_3
        return _WinogradSwiGLU(w1, w3, w2, dtype, transform)
    return _SwiGLU(_Product(torch.cat([w1, w3]), None, dtype), _Product(w2, None, dtype))


class _Product(nn.Module):
    """A linear map or channel-last convolution with its weight in final dtype and layout."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype):
        super().__init__()
        if weight.ndim == 3:
            weight = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        self.register_buffer("weight", weight.detach().to(dtype))
        self.register_buffer("bias", None if bias is None else bias.detach().to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.weight.dtype)
        if self.weight.ndim == 2:
            return F.linear(x, self.weight, self.bias)
        padding = (0, self.weight.shape[-1] // 2)
        out = F.conv2d(x.transpose(1, 2).unsqueeze(2), self.weight, self.bias, padding=padding)
        return out.squeeze(2).transpose(1, 2)


class _SwiGLU(nn.Module):
    def __init__(self, gate_value: _Product, output: _Product):
        super().__init__()
        self.gate_value = gate_value
        self.output = output

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.gate_value(x).chunk(2, dim=-1)
        out: Tensor = self.output(F.silu(gate) * value)
        return out


class _Attention(nn.Module):
    def __init__(self, attention: Attention, dtype: torch.dtype):
        super().__init__()
        self.n_heads = attention.n_heads
        self.qkv = _Product(*attention.split_weights(), dtype)
        self.q_norm, self.k_norm = attention.q_norm, attention.k_norm

    def forward(self, x: Tensor, table: Tensor) -> Heads:
        scales = (self.q_norm.weight, self.k_norm.weight)
        return split_heads(self.qkv(x), self.n_heads, scales, table)


# Winograd, F(m, 3): m outputs of a kernel-3 convolution cost 3·m products; from m + 2 transformed
# inputs they cost m + 2: ``y = Aᵀ[(G g) ⊙ (Bᵀ d)]`` (Lavin and Gray, arXiv:1509.09308, §4.1), where
# ⊙ becomes one matrix product over channels for each of the m + 2 rows.


class _Transform(NamedTuple):
    """Bᵀ (m + 2, m + 2), G (m + 2, 3) and Aᵀ (m, m + 2)."""

    b_t: tuple[tuple[float, ...], ...]
    g: tuple[tuple[float, ...], ...]
    a_t: tuple[tuple[float, ...], ...]


_F_2_3 = _Transform(
    b_t=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    g=((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    a_t=((1, 1, 1, 0), (0, 1, -1, -1)),
)
_F_4_3 = _Transform(
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


class _WinogradSwiGLU(nn.Module):
    """``w2(silu(w1·x) ⊙ (w3·x))`` with fixed kernels of 3: (H, D, 3), and (D, H, 3) of ``w2``.

    F(2, 3) saves a third of the products, F(4, 3) half, at a larger rounding error.
    """

    gate_value: Tensor
    output: Tensor
    b_t: Tensor
    a_t: Tensor

    def __init__(
        self, w1: Tensor, w3: Tensor, w2: Tensor, dtype: torch.dtype, transform: _Transform = _F_4_3
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
