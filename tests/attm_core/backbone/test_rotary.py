import torch

from attm_core.backbone.rotary import normalize_and_rotate, rotary_table, split_order


def test_order_and_table_by_hand():
    # 1 head of 4 channels: the reference's rows are q0 k0 v0 q1 k1 v1 q2 k2 v2 q3 k3 v3.
    assert split_order(1, 4).tolist() == [0, 6, 3, 9, 1, 7, 4, 10, 2, 5, 8, 11]

    angle = torch.tensor([[-1.0, -0.01], [0, 0], [1, 0.01]])
    table = rotary_table(3, 4, first=-1)
    assert all(map(torch.allclose, table, (angle.cos(), angle.sin())))


def test_adjacent_pairs_of_the_reference_turn_by_the_angle():
    # A head of 2: pair (x0, x1) = (1, 0), RMS 1/√2, so it becomes √2·(cos p, sin p).
    x = torch.tensor([1.0, 0.0]).expand(1, 3, 2, 1, 2)
    out = normalize_and_rotate(x, (torch.ones(2), torch.ones(2)), rotary_table(3, 2))
    position = torch.arange(3.0)
    assert torch.allclose(out[0, :, 0, 0, 0], 2**0.5 * position.cos(), atol=1e-6)
    assert torch.allclose(out[0, :, 1, 0, 1], 2**0.5 * position.sin(), atol=1e-6)


def test_gradient_agrees_with_finite_differences():
    generator = torch.Generator().manual_seed(1)
    table = rotary_table(3, 4)
    x = torch.randn(2, 3, 2, 2, 4, generator=generator, requires_grad=True)
    w = torch.randn(2, 4, generator=generator, requires_grad=True)
    probe = torch.randn(2, 3, 2, 2, 4, generator=generator)

    def value(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return (normalize_and_rotate(x, (w[0], w[1]), table).double() * probe).sum()

    got = torch.autograd.grad(value(x, w), (x, w))
    for which, start in enumerate((x, w)):
        step = torch.randn(start.shape, generator=generator)
        moved = [
            [start + side * 1e-3 * step if k == which else given for k, given in enumerate((x, w))]
            for side in (1, -1)
        ]
        slope = (value(*moved[0]) - value(*moved[1])) / 2e-3
        assert torch.allclose((got[which] * step).sum(), slope.float(), rtol=2e-3)
