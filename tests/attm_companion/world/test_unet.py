import pytest
import torch

from attm_companion.world.unet import unet_backbone
from attm_core.backbone.config import Conditions, FluxAudioConfig
from attm_core.backbone.fast_sampling import FastFluxAudio
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.errors import ConfigError
from attm_core.randomness import torch_generator

SHAPES = {"n_channels": 3, "n_latents": 7, "n_tokens": 4, "token_width": 5, "pooled_width": 6}
SIZE = FluxAudioConfig(**SHAPES, width=16, n_heads=2, ffn_multiple=16, score_head="global_adaln")


def awake(head: str = "global_adaln") -> FluxAudio:
    """A U-Net with weights where training starts from zero."""
    model = unet_backbone(SIZE.with_head(head), torch_generator(0, "backbone"))
    generator = torch_generator(0, "awake")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not name.startswith(("latent_", "empty_")) and not weight.any():
                weight.normal_(std=0.1, generator=generator)
    return model.eval()


def velocity(model, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    text = Conditions(torch.ones(len(x), 4, 5), torch.ones(len(x), 6))
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
    model = awake(head)
    same = X[:1].repeat(2, 1, 1)
    low, high = velocity(model, same, S)
    assert low.shape == (7, 3)
    assert (low - high).abs().max() > 1e-3


def test_the_twin_for_sampling_is_the_same_and_other_heads_are_refused():
    model = awake()
    one, other = (velocity(same, X, S) for same in (FastFluxAudio(model), model))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    with pytest.raises(ConfigError, match="not per_block_adaln"):
        unet_backbone(SIZE.with_head("per_block_adaln"), torch_generator(0))
