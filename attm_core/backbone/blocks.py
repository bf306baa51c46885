"""The layers of FluxAudio (Section III-A): channel-last convolutions, SwiGLU, AdaLN, attention.

Module and parameter names are those of the published checkpoints (198 keys), so that a state dict
loads as it is; how the products are computed is ours. B batch, n tokens of a stream, D width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attm_core.backbone.rotary import normalize_and_rotate, split_order


class Heads(NamedTuple):
    """Queries, keys and values, each (B, H, n, d)."""

    q: Tensor
    k: Tensor
    v: Tensor


def _convolve(
    x: Float[Tensor, "B n I"], weight: Float[Tensor, "O I k"], bias: Tensor | None = None
) -> Float[Tensor, "B n O"]:
    """Same-length convolution over time of a channel-last sequence, k odd, zero padding."""
    # As an image of height 1 in channels-last memory the sequence needs no transposition, and both
    # passes run at 80 to 90 % of the plain matrix-product rate (F.conv1d in bfloat16: 50 to 80 %).
    image = x.transpose(1, 2).unsqueeze(2)
    kernel = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    out = F.conv2d(image, kernel, bias, padding=(0, kernel.shape[-1] // 2))
    return out.squeeze(2).transpose(1, 2)


class ChannelLastConv(nn.Conv1d):
    """``nn.Conv1d`` with odd kernel and "same" padding on (B, n, I) instead of (B, I, n)."""

    def __init__(self, n_in: int, n_out: int, kernel: int, bias: bool = True):
        super().__init__(n_in, n_out, kernel, padding=kernel // 2, bias=bias)

    def forward(self, x: Float[Tensor, "B n I"]) -> Float[Tensor, "B n O"]:
        """Convolve over time."""
        return _convolve(x, self.weight, self.bias)


def _projection(
    n_in: int, n_out: int, kernel: int, bias: bool = True
) -> nn.Linear | ChannelLastConv:
    """A convolution over time, or a plain linear layer when ``kernel`` is 1."""
    if kernel == 1:
        return nn.Linear(n_in, n_out, bias=bias)
    return ChannelLastConv(n_in, n_out, kernel, bias=bias)


class SwiGLU(nn.Module):
    """Gated feed-forward ``w2(silu(w1·x) ⊙ (w3·x))`` with linear or convolutional maps, no bias."""

    def __init__(self, width: int, hidden: int, kernel: int = 1):
        super().__init__()
        self.w1 = _projection(width, hidden, kernel, bias=False)
        self.w2 = _projection(hidden, width, kernel, bias=False)
        self.w3 = _projection(width, hidden, kernel, bias=False)

    def forward(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """The two input maps run as one product; (B, D) or (B, n, D), convolutions the latter."""
        joined = torch.cat([self.w1.weight, self.w3.weight])
        both = F.linear(x, joined) if joined.ndim == 2 else _convolve(x, joined)
        gate, value = both.chunk(2, dim=-1)
        out: Tensor = self.w2(F.silu(gate) * value)
        return out


class Attention(nn.Module):
    """The q, k, v of one stream: one linear map, RMS norm of q and k, rotary positions."""

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = nn.RMSNorm(width // n_heads)
        self.k_norm = nn.RMSNorm(width // n_heads)

    def split_weights(self) -> tuple[Float[Tensor, "rows D"], Float[Tensor, " rows"]]:
        """Weight and bias of the qkv map with its rows in the order of :func:`split_order`."""
        order = split_order(self.n_heads, self.qkv.in_features // self.n_heads)
        order = order.to(self.qkv.weight.device)
        return self.qkv.weight[order], self.qkv.bias[order]

    def forward(self, x: Float[Tensor, "B n D"], table: Float[Tensor, "2 n half"]) -> Heads:
        """Rows of the reference's interleaved qkv weight are permuted, not the activations."""
        qkv = F.linear(x, *self.split_weights())
        return split_heads(qkv, self.n_heads, (self.q_norm.weight, self.k_norm.weight), table)


def split_heads(
    qkv: Float[Tensor, "B n rows"], n_heads: int, scales: tuple[Tensor, Tensor], table: Tensor
) -> Heads:
    """Heads from the product with :meth:`Attention.split_weights`, normalised and rotated."""
    q_k, v = qkv.unflatten(-1, (3, n_heads, -1)).split([2, 1], dim=2)
    q, k = normalize_and_rotate(q_k, scales, table).permute(2, 0, 3, 1, 4)
    return Heads(q, k, v.squeeze(2).transpose(1, 2))


def attend(heads: Heads) -> Float[Tensor, "B n D"]:
    """Unmasked attention, scale 1/√d; every text position is attended, padding too."""
    # PAPER-DEVIATION: III-A says T5-Large cross-attention. The public backbone, as here, has one
    # attention over audio and all 77 positions of FLAN-T5-Large, padding too (C30).
    q, k, v = heads
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        # PyTorch's fused CPU kernel is slower than its parts in bfloat16: 1.5 times forward at
        # 507 tokens, and 6 times forward and backward at the 48 tokens of the mini model.
        weights = torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2), dim=-1)
        out = weights.to(v.dtype) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v)
    return out.transpose(1, 2).flatten(2)


def modulate(x: Float[Tensor, "B n D"], shift: Tensor, scale: Tensor) -> Float[Tensor, "B n D"]:
    """Parameter-free LayerNorm, then AdaLN: x·(1 + scale) + shift."""
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:]), 1 + scale)


def ada_ln(width: int, n_terms: int) -> nn.Sequential:
    """SiLU(c) → ``n_terms`` modulation vectors."""
    return nn.Sequential(nn.SiLU(), nn.Linear(width, n_terms * width))


class StreamBlock(nn.Module):
    """One stream (audio or text) of a transformer block.

    Used in two halves, so that a joint block can attend over both streams in between. A
    ``pre_only`` block (text of the last joint block) has no output half: its text is dropped.
    """

    def __init__(self, width: int, n_heads: int, hidden: int, kernel: int, pre_only: bool = False):
        super().__init__()
        self.pre_only = pre_only
        self.attn = Attention(width, n_heads)
        self.adaLN_modulation = ada_ln(width, 2 if pre_only else 6)
        if not pre_only:
            self.linear1 = _projection(width, width, kernel)
            self.ffn = SwiGLU(width, hidden, kernel)

    def before(
        self, x: Tensor, c: Tensor, table: Tensor, extra: Tensor | None = None
    ) -> tuple[Heads, tuple[Tensor, ...]]:
        """Heads of the normalised, modulated input, and the four modulations still to be used.

        ``x`` (B, n, D) is the residual stream, ``c`` (B, 1, D) the global condition, ``extra``
        (B, 1, 6·D) is added to the modulations (per-block AdaLN head).
        """
        terms = self.adaLN_modulation(c)
        terms = terms if extra is None else terms + extra
        shift, scale, *rest = terms.chunk(2 if self.pre_only else 6, dim=-1)
        return self.attn(modulate(x, shift, scale), table), tuple(rest)

    def after(
        self, x: Tensor, attended: Tensor, rest: tuple[Tensor, ...]
    ) -> Float[Tensor, "B n D"]:
        """Residual updates by the attention output and by the feed-forward layer."""
        gate_attn, shift, scale, gate_mlp = rest
        x = torch.addcmul(x, self.linear1(attended), gate_attn)
        return torch.addcmul(x, self.ffn(modulate(x, shift, scale)), gate_mlp)

    def forward(
        self, x: Tensor, c: Tensor, table: Tensor, extra: Tensor | None = None
    ) -> Float[Tensor, "B n D"]:
        """A fused block: self-attention within the stream."""
        heads, rest = self.before(x, c, table, extra)
        return self.after(x, attend(heads), rest)


class JointBlock(nn.Module):
    """Audio and text streams with one attention over the tokens [audio, text]."""

    def __init__(self, width: int, n_heads: int, hidden: int, last: bool):
        super().__init__()
        self.latent_block = StreamBlock(width, n_heads, hidden, kernel=3)
        self.text_block = StreamBlock(width, n_heads, hidden, kernel=1, pre_only=last)

    def forward(
        self,
        streams: tuple[Tensor, Tensor],
        c: Tensor,
        tables: tuple[Tensor, Tensor],
        extra: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Streams (audio (B, n, D), text (B, T, D)) → the same after one block."""
        audio, text = streams
        of_audio, rest_audio = self.latent_block.before(audio, c, tables[0], extra)
        of_text, rest_text = self.text_block.before(text, c, tables[1])
        q, k, v = (torch.cat(pair, dim=2) for pair in zip(of_audio, of_text, strict=True))
        if self.text_block.pre_only:  # the text that its queries would find is dropped
            return self.latent_block.after(audio, attend(Heads(of_audio.q, k, v)), rest_audio), text
        attended = attend(Heads(q, k, v)).split([audio.shape[1], text.shape[1]], dim=1)
        audio = self.latent_block.after(audio, attended[0], rest_audio)
        return audio, self.text_block.after(text, attended[1], rest_text)


class FinalLayer(nn.Module):
    """LayerNorm, AdaLN (shift, scale), convolution of kernel 7 to the latent channels."""

    def __init__(self, width: int, n_channels: int):
        super().__init__()
        self.adaLN_modulation = ada_ln(width, 2)
        self.conv = ChannelLastConv(width, n_channels, kernel=7)

    def forward(self, x: Float[Tensor, "B N D"], c: Tensor) -> Float[Tensor, "B N C"]:
        """The velocity."""
        out: Tensor = self.conv(modulate(x, *self.adaLN_modulation(c).chunk(2, dim=-1)))
        return out


class TimeEmbedding(nn.Module):
    """Sinusoids of t ∈ [0, 1] (not scaled by 1000) → Linear → SiLU → Linear, (B,) → (B, D)."""

    def __init__(self, width: int, n_features: int = 256):
        super().__init__()
        self.n_features = n_features
        self.mlp = nn.Sequential(nn.Linear(n_features, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Float[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Features ordered cosines, then sines; frequencies 10000^(−2k/n)."""
        exponent = torch.arange(0, self.n_features, 2, device=t.device) / self.n_features
        angle = t.float()[:, None] * 10_000.0**-exponent
        out: Tensor = self.mlp(torch.cat([angle.cos(), angle.sin()], dim=-1))
        return out
