import math

import pytest
import torch

from attm_core.codec import mp_layers


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_random_weights(module):
    for rank, parameter in enumerate(module.parameters()):
        parameter.data = mp_layers.effective_weight(normal(*parameter.shape, seed=rank))
    return module.requires_grad_(False)


def test_unit_magnitude_and_sum_by_hand():
    # Channels (3, 4): norm 5, root mean square 5/√2.
    x = torch.tensor([[[3.0], [4.0]]])
    assert mp_layers._unit_magnitude(x, dim=1).flatten().tolist() == pytest.approx(
        [3 / (5 / math.sqrt(2) + 1e-4), 4 / (5 / math.sqrt(2) + 1e-4)]
    )
    assert not mp_layers._unit_magnitude(torch.zeros(1, 4, 2), dim=1).any()  # silence stays finite
    total = mp_layers._mp_sum(torch.tensor([1.0]), torch.tensor([2.0]))
    assert total.item() == pytest.approx((0.7 + 0.6) / math.sqrt(0.49 + 0.09))


@pytest.mark.parametrize(
    "output",
    [
        mp_layers.mp_silu(normal(100_000)),
        mp_layers._mp_sum(normal(100_000), normal(100_000, seed=1)),
        with_random_weights(mp_layers.MPConv1d(64, 64, 3))(normal(1, 64, 1000)),
        with_random_weights(mp_layers.ResBlock(64, 96))(7 * normal(1, 64, 1000)),
        with_random_weights(mp_layers.Upsample(64))(normal(1, 64, 1000)),
    ],
    ids=["silu", "sum", "convolution", "residual block", "up-sampling"],
)
def test_magnitude_is_preserved(output):
    assert output.square().mean().sqrt().item() == pytest.approx(1.0, abs=0.1)
