"""FluxAudio prepared for sampling: the same velocity, with all that is constant done once.

Training needs weights that change; sampling evaluates fixed ones fifty times a clip. A
:class:`FrozenFluxAudio` holds a copy of the model in which weights are already in the product's
dtype and layout, and kernel-3 feed-forward layers use Winograd's products. Like the model it keeps
the residual streams, norms and rotations in float32.
"""

from __future__ import annotations

import copy
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attm_core.backbone.blocks import Attention, ChannelLastConv, Heads, SwiGLU, split_heads
from attm_core.backbone.config import Conditions
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.backbone.winograd import F_2_3, F_4_3, WinogradSwiGLU

# A tenth of the products and most of the bfloat16 error: these stay float32 (velocity error at full
# size with small random AdaLN weights 0.9 % with all in bfloat16, see benchmarks/sampling.py).
PRECISE = frozenset({
    "audio_input_proj", "t_embed", "text_cond_proj", "score_embed", "score_head",
    "adaLN_modulation", "final_layer",
})  # fmt: skip


@final
class FrozenFluxAudio:
    """A snapshot of a model for sampling; later changes of the model do not reach it.

    Args:
        model: the model, in any dtype and on any device.
        dtype: of the matrix products, float32 or bfloat16 (all but those of :data:`PRECISE`).
        winograd: use Winograd's products in the audio feed-forward layers. Default: in float32
            only. They cost 1.4e-6 of relative error there, but treble it in bfloat16 (F(4, 3)).
    """

    def __init__(
        self, model: FluxAudio, dtype: torch.dtype = torch.float32, winograd: bool | None = None
    ):
        self.source = model
        use = dtype == torch.float32 if winograd is None else winograd
        with torch.no_grad():
            self.frozen = copy.deepcopy(model).eval().requires_grad_(False)
            _freeze_children(self.frozen, dtype, use)

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
        """Text features at model width, as ``FluxAudio.project``; once a trajectory."""
        with torch.autocast(conditions.pooled.device.type, enabled=False):
            return self.frozen.project(conditions)

    @torch.no_grad()
    def velocity(
        self, x_t: Tensor, t: Tensor, projected: Conditions, s: Tensor | None = None
    ) -> Float[Tensor, "B N C"]:
        """The velocity from projected conditions, as ``FluxAudio.velocity``."""
        with torch.autocast(x_t.device.type, enabled=False):
            return self.frozen.velocity(x_t, t, projected, s)

    def null_conditions(self, batch: int) -> Conditions:
        """The null text of the model."""
        return self.source.null_conditions(batch)

    def unnormalize(self, latents: Tensor) -> Tensor:
        """Latents at the codec's scale."""
        return self.source.unnormalize(latents)


def _freeze_children(module: nn.Module, dtype: torch.dtype, winograd: bool) -> None:
    for name, child in module.named_children():
        of_child = torch.float32 if name in PRECISE else dtype
        replacement = _frozen(child, of_child, winograd)
        if replacement is None:
            _freeze_children(child, of_child, winograd)
        else:
            setattr(module, name, replacement)


def _frozen(child: nn.Module, dtype: torch.dtype, winograd: bool) -> nn.Module | None:
    match child:
        case SwiGLU():
            return _frozen_swiglu(child, dtype, winograd)
        case Attention():
            return _Attention(child, dtype)
        case ChannelLastConv() | nn.Linear():
            return _Product(child.weight, child.bias, dtype)
    return None


def _frozen_swiglu(layer: SwiGLU, dtype: torch.dtype, winograd: bool) -> nn.Module:
    w1, w2, w3 = layer.w1.weight, layer.w2.weight, layer.w3.weight
    if winograd and w1.shape[2:] == (3,):
        transform = F_4_3 if dtype == torch.float32 else F_2_3
        return WinogradSwiGLU(w1, w3, w2, dtype, transform)
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
