import math

import torch

from attm_companion.world.demucs_weights import draw_demucs_weights


def build(seed: int) -> torch.nn.Module:
    from demucs.hdemucs import HDemucs

    sizes = {"channels": 8, "depth": 2, "nfft": 256, "kernel_size": 16, "stride": 8}
    with torch.random.fork_rng():
        model = HDemucs(["vocals"], audio_channels=1, hybrid=False, **sizes)
    draw_demucs_weights(model, torch.Generator().manual_seed(seed))
    return model


def test_every_weight_follows_the_generator() -> None:
    first, again, other = (build(seed).state_dict() for seed in (0, 0, 1))
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
        if value.dim() > 1:
            assert not torch.equal(value, other[name]), name


def test_scale_is_that_of_demucs() -> None:
    # U(±b) has deviation b/√3; demucs divides the weights by √(deviation / 0.1).
    weight = build(0).encoder[1].conv.weight
    bound = 1 / math.sqrt(weight[0].numel())
    expected = math.sqrt(bound / math.sqrt(3) * 0.1)
    assert abs(weight.std().item() / expected - 1) < 0.05
