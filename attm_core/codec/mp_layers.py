"""Magnitude-preserving layers of MMAudio's 1-D VAE (Section III-A).

They follow Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models"
(EDM2): every operation maps values of unit variance to values of unit variance, so no layer has a
bias or a learned normalisation. Sequences are (B, channels, L) throughout.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_NORM_EPS = 1e-4
_SILU_RMS = 0.596  # of SiLU(x), x ~ N(0, 1): EDM2, Eq. (81)
_RESIDUAL_SHARE = 0.3  # of the new branch in every sum


def _unit_magnitude(x: Tensor, dim: int) -> Tensor:
    """``x`` with root mean square 1 along ``dim``; same shape."""
    norm = torch.linalg.vector_norm(x, dim=dim, keepdim=True, dtype=torch.float32)
    scaled: Tensor = x / (_NORM_EPS + norm / math.sqrt(x.shape[dim])).to(x.dtype)
    return scaled


def effective_weight(raw: Float[Tensor, "O I K"]) -> Float[Tensor, "O I K"]:
    """A stored convolution weight as it is applied: each output channel of Euclidean norm 1.

    EDM2, Eq. (47) and (66). The checkpoint holds weights of arbitrary magnitude.
    """
    flat = raw.float().flatten(1)
    return (_unit_magnitude(flat, dim=1) / math.sqrt(flat.shape[1])).view(raw.shape)


def mp_silu(x: Tensor) -> Tensor:
    """SiLU of unit output magnitude; same shape."""
    return F.silu(x) / _SILU_RMS


def _mp_sum(a: Tensor, b: Tensor, share: float = _RESIDUAL_SHARE) -> Tensor:
    """(1 − share)·a + share·b, back at unit magnitude; EDM2, Eq. (88)."""
    return a.lerp(b, share) / math.sqrt((1.0 - share) ** 2 + share**2)


class MPConv1d(nn.Module):
    """Convolution without bias that keeps the length, with an odd number of taps.

    Its weight is what is applied, that is `effective_weight` of what a checkpoint stores.
    """

    def __init__(self, n_in: int, n_out: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_out, n_in, kernel))

    def forward(self, x: Float[Tensor, "B I L"]) -> Float[Tensor, "B O L"]:
        """Zero padding at both ends."""
        return F.conv1d(x, self.weight, padding=self.weight.shape[-1] // 2)


class ResBlock(nn.Module):
    """Pixel norm, then two kernel-3 convolutions beside a shortcut (1×1 if the width changes)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = MPConv1d(n_in, n_out, 3)
        self.conv2 = MPConv1d(n_out, n_out, 3)
        self.nin_shortcut = MPConv1d(n_in, n_out, 1) if n_in != n_out else None

    def forward(self, x: Float[Tensor, "B I L"]) -> Float[Tensor, "B O L"]:
        """The shortcut starts after the norm, unlike in most residual networks."""
        x = _unit_magnitude(x, dim=1)
        branch = self.conv2(mp_silu(self.conv1(mp_silu(x))))
        shortcut = x if self.nin_shortcut is None else self.nin_shortcut(x)
        return _mp_sum(shortcut, branch)


class SelfAttention(nn.Module):
    """One head over time; q, k and v each of unit magnitude over channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = MPConv1d(width, 3 * width, 1)
        self.proj_out = MPConv1d(width, width, 1)

    def forward(self, x: Float[Tensor, "B W L"]) -> Float[Tensor, "B W L"]:
        """Output channel 3c + j of ``qkv`` is channel c of q, k or v (j = 0, 1, 2)."""
        interleaved = self.qkv(x).unflatten(1, (-1, 3))
        q, k, v = _unit_magnitude(interleaved, dim=1).transpose(1, 3).unbind(2)
        attended = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return _mp_sum(x, self.proj_out(attended.transpose(1, 2)))


class Downsample(nn.Module):
    """Half the length: 1×1 convolution, mean of neighbours, 1×1 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = MPConv1d(width, width, 1)
        self.conv2 = MPConv1d(width, width, 1)

    def forward(self, x: Float[Tensor, "B W L"]) -> Float[Tensor, "B W half"]:
        """An odd last frame is dropped."""
        halved: Tensor = self.conv2(F.avg_pool1d(self.conv1(x), kernel_size=2))
        return halved


class Upsample(nn.Module):
    """Twice the length: each frame repeated, then a kernel-3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = MPConv1d(width, width, 3)

    def forward(self, x: Float[Tensor, "B W L"]) -> Float[Tensor, "B W twice"]:
        """Nearest-neighbour interpolation, without blending."""
        doubled: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest-exact"))
        return doubled
