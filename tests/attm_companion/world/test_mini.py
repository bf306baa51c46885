import math
from dataclasses import replace

import pytest
import torch
from toy_instruments import toy_clips

from attm_companion.world import mini_codec
from attm_companion.world.config import FitConfig, MiniCodecConfig
from attm_core.errors import InputError
from attm_core.randomness import torch_generator
from attm_core.weights import load_module, save_module

CONFIG = MiniCodecConfig(
    n_samples=16_384,
    n_channels=8,
    widths=(16, 32),
    blocks=1,
    crop_frames=32,
    fit=FitConfig(steps=40, batch_size=16),
)


def test_kl_by_hand():
    assert mini_codec.kl_divergence(torch.zeros(3), torch.zeros(3)) == 0
    # N(3, e): ½(9 + e − 1 − 1).
    value = mini_codec.kl_divergence(torch.tensor([3.0]), torch.tensor([1.0]))
    assert value == pytest.approx(0.5 * (7 + math.e))


def test_principal_components_of_an_ellipse():
    angle = torch.linspace(0, 2 * math.pi, 401)[:-1]
    ellipse = torch.stack([3 * angle.cos() + 7, angle.sin()], dim=1)
    components, deviations = mini_codec.principal_components(ellipse, 1)
    assert components.abs()[0].tolist() == pytest.approx([1, 0], abs=1e-5)
    assert float(deviations[0]) == pytest.approx(3 / math.sqrt(2), rel=1e-4)


def test_training_beats_the_linear_start_and_follows_its_generator():
    waves, errors = toy_clips(64, 0)[0], []
    for steps, seed in ((60, 0), (1, 0), (1, 0), (1, 1)):
        config = replace(CONFIG, fit=FitConfig(steps=steps, batch_size=16))
        codec = mini_codec.train_mini_codec(waves, config, torch_generator(seed))
        rebuilt = codec.standardize(codec.decode_mel(codec.encode(waves[:, None])[0]))
        errors.append(float((rebuilt - codec.standardize(codec.log_mel(waves))).abs().mean()))
    assert errors[0] < 0.8 * errors[1]
    assert errors[1] == errors[2] != errors[3]


def test_file_round_trip_and_shapes(tmp_path):
    trained = mini_codec.train_mini_codec(toy_clips(64, 0)[0], CONFIG, torch_generator(0))
    path = save_module(tmp_path / "codec.safetensors", trained, CONFIG)
    loaded, _ = load_module(path, MiniCodecConfig, mini_codec.MiniCodec)
    waves = toy_clips(3, 1)[0][:, None]
    mean, std = trained.encode(waves)
    assert mean.shape == std.shape == (3, trained.n_latents, trained.n_channels) == (3, 8, 8)
    assert (std > 0).all()
    assert trained.decode(mean).shape == (3, 1, 16_384)
    assert loaded.config == CONFIG
    assert torch.equal(loaded.encode(waves)[0], mean)

    with pytest.raises(InputError, match="not 16384"):
        trained.encode(torch.zeros(1, 1, 16_000))
    with pytest.raises(InputError, match="multiple of 2048"):
        mini_codec.MiniCodec(MiniCodecConfig(n_samples=1000))
    with pytest.raises(InputError, match="5 wide, not 8"):
        trained.decode(torch.zeros(1, 8, 5))
