from dataclasses import replace

import pytest
import torch
from training_toys import awake, tiny_model

from attm_companion.world.unet import unet_backbone
from attm_core.backbone.config import Conditions
from attm_core.backbone.fast_sampling import FastFluxAudio
from attm_core.errors import ConfigError
from attm_core.randomness import torch_generator

SIZE = replace(tiny_model().config, n_latents=7)


def velocity(model, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    text = Conditions(torch.ones(len(x), 2, 5), torch.ones(len(x), 6))
    with torch.no_grad():
        return model(x, torch.full((len(x),), 0.5), text, s)


X = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0))
S = torch.tensor([0.0, 2.0])


def test_it_starts_as_a_velocity_of_zero_and_depends_on_the_seed_alone():
    one, other = (unet_backbone(SIZE, torch_generator(3, "backbone")) for _ in range(2))
    assert not velocity(one, X, S).any()
    for first, second in zip(one.parameters(), other.parameters(), strict=True):
        assert first.isnan().all() or torch.equal(first, second)


@pytest.mark.parametrize("head", ["global_adaln", "input_add"])
def test_the_score_reaches_the_velocity_through_either_head(head):
    model = awake(unet_backbone(SIZE.with_head(head), torch_generator(0)))
    same = X[:1].repeat(2, 1, 1)
    low, high = velocity(model, same, S)
    assert low.shape == (7, 3)
    assert (low - high).abs().max() > 1e-3


def test_the_twin_for_sampling_is_the_same_and_other_heads_are_refused():
    model = awake(unet_backbone(SIZE, torch_generator(0)))
    one, other = (velocity(same, X, S) for same in (FastFluxAudio(model), model))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    with pytest.raises(ConfigError, match="not per_block_adaln"):
        unet_backbone(SIZE.with_head("per_block_adaln"), torch_generator(0))
