from __future__ import annotations

import pytest
import torch

from attm_core.backbone.flux_audio import Conditions, FluxAudio
from attm_core.backbone.frozen import FrozenFluxAudio
from attm_core.constants import HEAD_NAMES
from attm_core.generation.pipeline import GenerationConfig, generate_latents


def relative_error(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return (torch.linalg.norm(got - wanted) / torch.linalg.norm(wanted)).item()


@pytest.mark.parametrize("head", HEAD_NAMES)
@pytest.mark.parametrize("winograd", [True, False])
def test_float32_snapshot_has_the_velocity_of_the_model(
    head, winograd, small, generator, inputs, randomise
):
    model = randomise(FluxAudio(small.with_head(head), generator))
    frozen = FrozenFluxAudio(model, winograd=winograd)
    scores = None if head == "none" else torch.tensor([-1.0, 0.5, 5.0])
    with torch.no_grad():
        assert relative_error(frozen(*inputs, scores), model(*inputs, scores)) < 1e-5


@pytest.mark.parametrize("winograd", [True, False])
def test_bfloat16_snapshot_stays_close(winograd, small, generator, inputs, randomise):
    model = randomise(FluxAudio(small, generator))
    frozen = FrozenFluxAudio(model, torch.bfloat16, winograd)
    with torch.no_grad():
        wanted = model(*inputs)
    got = frozen(*inputs)
    assert got.dtype == torch.float32
    assert relative_error(got, wanted) < 0.05


def test_branches_of_guidance_share_the_projection_of_x_t(small, generator, inputs, randomise):
    model = randomise(FluxAudio(small, generator))
    frozen, rows = FrozenFluxAudio(model), []
    frozen.frozen.audio_input_proj.register_forward_hook(
        lambda _module, given, _out: rows.append(len(given[0]))
    )
    x_t, t, conditions = inputs
    pair, times = Conditions.cat([conditions, model.null_conditions(3)]), t.repeat(2)
    with torch.no_grad():
        wanted = model(x_t.repeat(2, 1, 1), times, pair)
    assert relative_error(frozen(x_t, times, pair), wanted) < 1e-5
    assert rows == [3]


def test_sampler_takes_a_snapshot_for_the_model(small, generator, inputs, randomise):
    model = randomise(FluxAudio(small.with_head("input_add"), generator))
    noise = torch.randn(3, 9, 4, generator=generator)
    config = GenerationConfig(s=2.0, w=2.0, n_steps=3)
    wanted = generate_latents(model, inputs[2], config, noise)
    got = generate_latents(FrozenFluxAudio(model), inputs[2], config, noise)
    assert relative_error(got, wanted) < 1e-5


def test_snapshot_does_not_see_new_weights(small, generator, inputs, randomise):
    model = randomise(FluxAudio(small, generator))
    frozen = FrozenFluxAudio(model)
    x_t, t, conditions = inputs
    first = frozen(x_t, t, conditions)
    with torch.no_grad():
        model.final_layer.conv.bias.add_(1.0)
    assert torch.equal(frozen(x_t, t, conditions), first)


def test_snapshot_leaves_the_model_trainable(small, generator, inputs, randomise):
    model = randomise(FluxAudio(small, generator))
    FrozenFluxAudio(model)(*inputs)
    model(*inputs).sum().backward()
    assert model.fused_blocks[0].ffn.w1.weight.grad.any()
