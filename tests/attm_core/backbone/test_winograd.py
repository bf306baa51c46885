from __future__ import annotations

import pytest
import torch

from attm_core.backbone.blocks import SwiGLU
from attm_core.backbone.winograd import F_2_3, F_4_3, Transform, WinogradSwiGLU


@pytest.mark.parametrize("transform", [F_2_3, F_4_3])
def test_transform_convolves_a_sequence_by_hand(transform: Transform):
    b_t, g, a_t = (torch.tensor(part, dtype=torch.float64) for part in transform)
    d = torch.arange(1.0, b_t.shape[0] + 1, dtype=torch.float64) ** 2
    kernel = torch.tensor([1.0, -2.0, 5.0], dtype=torch.float64)
    wanted = d.unfold(0, 3, 1) @ kernel  # for 1 4 9 …: 1 − 8 + 45 = 38 first
    assert wanted[0] == 38
    assert torch.allclose(a_t @ ((g @ kernel) * (b_t @ d)), wanted)


@pytest.mark.parametrize("transform", [F_2_3, F_4_3])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 9, 11])
def test_layer_equals_the_convolutions_at_every_length(transform: Transform, length: int):
    generator = torch.Generator().manual_seed(length)
    layer = SwiGLU(6, 10, kernel=3)
    x = torch.randn(2, length, 6, generator=generator)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
        fast = WinogradSwiGLU(
            layer.w1.weight, layer.w3.weight, layer.w2.weight, torch.float32, transform
        )
        assert torch.allclose(fast(x), layer(x), atol=1e-4)
