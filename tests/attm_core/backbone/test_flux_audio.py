"""The golden files come from ``python tests/attm_core/make_golden.py``."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from seeded_weights import SMALL, TINY, formula_weights, random_model, tiny_inputs

from attm_core.backbone.flux_audio import Conditions, FluxAudio, FluxAudioConfig
from attm_core.errors import InputError

GOLDEN = Path(__file__).parent / "golden"
FLUX_AUDIO_S_44K, FLUX_AUDIO_S_16K = FluxAudioConfig(), FluxAudioConfig(20, 312)


def test_velocity_is_that_of_the_reference_under_the_same_weights():
    golden = json.loads((GOLDEN / "flux_audio_tiny.json").read_text())
    model = FluxAudio(FluxAudioConfig(**TINY), torch.Generator())
    model.load_state_dict(formula_weights(model.state_dict()), strict=True)
    given = tiny_inputs()
    wanted = torch.tensor(golden["velocity"])
    with torch.no_grad():
        got = model(given["x_t"], given["t"], Conditions(given["tokens"], given["pooled"]))
    assert wanted.std() > 0.5
    assert torch.linalg.norm(got - wanted) < 1e-5 * torch.linalg.norm(wanted)


@pytest.mark.parametrize(
    ("config", "keys", "parameters"),
    [
        (FLUX_AUDIO_S_44K, 198, 120_311_288),
        (FLUX_AUDIO_S_16K, 198, 120_185_788),
        (replace(FLUX_AUDIO_S_16K, width=896, n_heads=14), 198, 478_497_084),
        # 5 more keys: 128 frequencies, Linear 256 → 448, Linear 448 → 448.
        (FLUX_AUDIO_S_44K.with_head("global_adaln"), 203, 120_311_288 + 128 + 115_136 + 201_152),
    ],
)
def test_keys_and_parameter_counts_of_the_published_sizes(config, keys, parameters):
    golden = json.loads((GOLDEN / "flux_audio_s_44k_keys.json").read_text())["shapes"]
    model = FluxAudio.__new__(FluxAudio)  # names and shapes without the memory
    torch.nn.Module.__init__(model)
    with torch.device("meta"):
        model._build(config)
    state = model.state_dict()
    if config == FLUX_AUDIO_S_44K:
        assert {key: list(value.shape) for key, value in state.items()} == golden
    assert len(state) == keys
    assert sum(value.numel() for value in state.values()) == parameters


def test_hidden_width_rounds_up_as_in_the_reference():
    assert FLUX_AUDIO_S_44K.ffn_hidden == 1280  # ⅔ · 1792 = 1194
    assert FluxAudioConfig(width=96, n_heads=3).ffn_hidden == 256  # exactly


def test_initial_velocity_is_exactly_zero_and_blocks_are_identities(inputs):
    generator = torch.Generator()
    model = FluxAudio(SMALL, generator)
    assert torch.equal(model(*inputs), torch.zeros(3, 9, 4))
    z = torch.randn(3, 9, 16, generator=generator)
    c = torch.randn(3, 1, 16, generator=generator)
    assert torch.equal(model.fused_blocks[0](z, c, model.audio_table), z)


def test_initial_weights_come_from_the_generator_alone():
    before = torch.random.get_rng_state()
    one, same, other = (FluxAudio(SMALL, torch.Generator().manual_seed(k)) for k in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    for key, value in one.state_dict().items():
        assert torch.equal(value.nan_to_num(), same.state_dict()[key].nan_to_num())
    assert not torch.equal(one.text_input_proj[0].weight, other.text_input_proj[0].weight)
    assert all(torch.isfinite(p).all() for n, p in one.named_parameters() if "latent_" not in n[:7])


def test_initial_scales_follow_the_reference():
    config = FluxAudioConfig(width=96, n_heads=3, n_joint=1, n_fused=1, ffn_multiple=32)
    model = FluxAudio(config, torch.Generator())
    assert model.t_embed.mlp[0].weight.std().item() == pytest.approx(0.02, rel=0.05)
    qkv = model.fused_blocks[0].attn.qkv
    assert qkv.weight.abs().max() <= (6 / (96 + 288)) ** 0.5
    assert not qkv.bias.any()
    conv = model.fused_blocks[0].linear1
    assert conv.weight.abs().max() <= (96 * 3) ** -0.5
    assert conv.bias.any()


def test_rows_do_not_depend_on_their_batch(inputs):
    model = random_model()
    x_t, t, conditions = inputs
    whole = model(x_t, t, conditions)
    alone = model(x_t[1:2], t[1:2], conditions[1:2])
    assert torch.allclose(whole[1:2], alone, atol=1e-5)
    swapped = model(x_t, t, Conditions(conditions.tokens.flip(0), conditions.pooled))
    assert not torch.allclose(whole, swapped, atol=1e-3)
    with pytest.raises(InputError, match="latents have shape"):
        model(x_t[:, :5], t, conditions)
    with pytest.raises(InputError, match="conditions have tokens"):
        model(x_t, t, Conditions(conditions.tokens[:, :2], conditions.pooled))
    with pytest.raises(InputError, match="no score head"):
        model(x_t, t, conditions, torch.ones(3))


def test_every_weight_of_every_head_gets_a_gradient(inputs):
    for head in ("none", "per_block_adaln", "audio_prepend", "text_prepend"):
        model = random_model(head)
        scores = None if head == "none" else torch.tensor([0.5, 1.0, 2.0])
        model(*inputs, scores).square().sum().backward()
        still = [n for n, p in model.named_parameters() if p.requires_grad and not p.grad.any()]
        # The text queries of the last joint block have no reader: its text is dropped.
        assert still == ["joint_blocks.1.text_block.attn.q_norm.weight"]
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad), "for DDP"


def test_statistics_and_null_text_are_what_was_stored():
    model, x = FluxAudio(SMALL, torch.Generator()), torch.full((1, 9, 4), 5.0)
    with pytest.raises(InputError, match="no latent statistics"):
        model.normalize(x)
    model.set_latent_statistics(torch.tensor([1.0, 0, 0, 0]), torch.tensor([2.0, 1, 1, 1]))
    assert model.normalize(x)[0, 0].tolist() == [2.0, 5.0, 5.0, 5.0]
    assert torch.equal(model.unnormalize(model.normalize(x)), x)
    tokens, pooled = torch.arange(60.0).view(5, 12), torch.arange(10.0)
    model.set_null_text(tokens, pooled)
    null = model.null_conditions(2)
    assert torch.equal(null.tokens[1], tokens) and torch.equal(null.pooled[0], pooled)
    with pytest.raises(InputError, match="null-text tokens"):
        model.set_null_text(tokens * torch.nan, pooled)
    with pytest.raises(InputError, match="must be positive"):
        model.set_latent_statistics(torch.zeros(4), torch.zeros(4))
    with pytest.raises(InputError, match="must hold 4 finite values"):
        model.set_latent_statistics(torch.zeros(3), torch.ones(3))
