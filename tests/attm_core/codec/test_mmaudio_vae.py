import json
from pathlib import Path

import pytest
import torch
from vae_weights import TINY, formula_state, tiny_latents, tiny_mel

from attm_core.codec import mmaudio_vae
from attm_core.configuration import MMAudioVAEConfig
from attm_core.files import save_tensors

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def state():
    return formula_state(mmaudio_vae.MMAudioVAE(TINY).state_dict())


def test_full_size_has_the_names_and_shapes_of_the_reference():
    model = mmaudio_vae.MMAudioVAE(MMAudioVAEConfig())
    shapes = json.loads((GOLDEN / "mmaudio_vae_44k_keys.json").read_text())["shapes"]
    assert {name: list(value.shape) for name, value in model.state_dict().items()} == shapes
    assert len(shapes) == 57
    assert sum(value.numel() for value in model.parameters()) == 305_479_682


def test_encoder_and_decoder_give_the_values_of_the_reference(state):
    golden = json.loads((GOLDEN / "mmaudio_vae_tiny.json").read_text())
    model = mmaudio_vae.load_mmaudio_vae(state, TINY)
    found = (*model.encode(tiny_mel()), model.decode(tiny_latents()))
    for name, value in zip(("mean", "std", "log_mel"), found, strict=True):
        assert torch.allclose(value, torch.tensor(golden[name]), rtol=1e-5, atol=1e-5), name


def test_a_file_gives_what_its_state_dict_does_and_that_is_left_alone(state, tmp_path):
    path = save_tensors(tmp_path / "v1-44.safetensors", state)
    decoded = mmaudio_vae.load_mmaudio_vae(path, TINY).decode(tiny_latents())
    before = {name: value.clone() for name, value in state.items()}
    assert torch.equal(decoded, mmaudio_vae.load_mmaudio_vae(state, TINY).decode(tiny_latents()))
    assert state.keys() == before.keys()
    assert all(torch.equal(state[name], before[name]) for name in state)


def test_deviation_is_bounded(state):
    # A gain that throws log-variances far beyond [-30, 20].
    state["encoder.learnable_gain"] = torch.tensor(1e4)
    _, std = mmaudio_vae.load_mmaudio_vae(state, TINY).encode(tiny_mel())
    assert std.min().item() == pytest.approx(torch.tensor(-15.0).exp().item())
    assert std.max().item() == pytest.approx(torch.tensor(10.0).exp().item())


@pytest.mark.parametrize(
    "make", [lambda: mmaudio_vae._Level(4, 4, 1), lambda: mmaudio_vae._Middle(4)]
)
def test_activations_are_limited(make):
    module = make()
    for parameter in module.parameters():
        parameter.data = torch.full(parameter.shape, 100.0)
    assert module(tiny_mel().abs()[:, :4]).max() == 256.0
