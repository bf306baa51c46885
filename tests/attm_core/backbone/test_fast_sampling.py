import pytest
import torch
from seeded_weights import random_model

from attm_core.backbone import fast_sampling
from attm_core.backbone.blocks import SwiGLU
from attm_core.backbone.flux_audio import Conditions
from attm_core.constants import HEAD_NAMES


def relative_error(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return (torch.linalg.norm(got - wanted) / torch.linalg.norm(wanted)).item()


@pytest.mark.parametrize("head", HEAD_NAMES)
@pytest.mark.parametrize("winograd", [True, False])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_a_snapshot_has_the_velocity_of_the_model(head, winograd, dtype, within, inputs):
    model = random_model(head)
    fast = fast_sampling.FastFluxAudio(model, dtype, winograd)
    scores = None if head == "none" else torch.tensor([-1.0, 0.5, 5.0])
    with torch.no_grad():
        wanted = model(*inputs, scores)
        with torch.autocast("cpu"):  # which a snapshot does not heed
            got = fast(*inputs, scores)
    assert got.dtype == torch.float32
    assert relative_error(got, wanted) < within


def test_branches_of_guidance_share_the_projection_of_x_t(inputs):
    model = random_model()
    fast, rows = fast_sampling.FastFluxAudio(model), []
    fast.fast.audio_input_proj.register_forward_hook(
        lambda _module, given, _out: rows.append(len(given[0]))
    )
    x_t, t, conditions = inputs
    pair, times = Conditions.cat([conditions, model.null_conditions(3)]), t.repeat(2)
    with torch.no_grad():
        wanted = model(x_t.repeat(2, 1, 1), times, pair)
    assert relative_error(fast(x_t, times, pair), wanted) < 1e-5
    assert rows == [3]
    first, scaled = fast(x_t, t, conditions), model.unnormalize(x_t).detach()
    model(x_t, t, conditions).sum().backward()  # a snapshot leaves its model trainable …
    assert model.fused_blocks[0].ffn.w1.weight.grad.any()
    with torch.no_grad():
        model.final_layer.conv.bias.add_(1.0)  # … and does not see its new weights
        model.latent_mean.add_(1.0)
        model.empty_string_feat.add_(1.0)
    assert torch.equal(fast(x_t, t, conditions), first)
    assert torch.equal(fast.null_conditions(1).tokens, pair.tokens[-1:])
    assert torch.equal(fast.unnormalize(x_t), scaled)


@pytest.mark.parametrize("transform", [fast_sampling._F_2_3, fast_sampling._F_4_3])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 9, 11])
def test_layer_equals_the_convolutions_at_every_length(transform, length):
    generator = torch.Generator().manual_seed(length)
    layer = SwiGLU(6, 10, kernel=3)
    x = torch.randn(2, length, 6, generator=generator)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
        fast = fast_sampling._WinogradSwiGLU(
            layer.w1.weight, layer.w3.weight, layer.w2.weight, torch.float32, transform
        )
        assert torch.allclose(fast(x), layer(x), atol=1e-4)
