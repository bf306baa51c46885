import json

import pytest
import torch
from vae_weights import TINY_BIGVGAN

from attm_core.codec import bigvgan_vocoder
from attm_core.codec.mel import MEL_44K
from attm_core.errors import CheckpointError

LOG_MEL = torch.randn(2, 128, 6, generator=torch.Generator().manual_seed(1)) - 4.0


@pytest.fixture(scope="module")
def untrained():
    """Loud, not yet clipping, and of magnitudes that weight norm has to fold."""
    vocoder = bigvgan_vocoder._make_bigvgan(TINY_BIGVGAN)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in vocoder.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
        vocoder.conv_post.weight_g.mul_(20.0)
    return vocoder.eval()


@pytest.fixture
def folder(tmp_path, untrained):
    untrained._save_pretrained(tmp_path)  # the package's own way
    return tmp_path


def test_loads_what_the_package_saves(folder, untrained):
    vocoder = bigvgan_vocoder.load_bigvgan(folder, MEL_44K)
    with torch.no_grad():
        expected = untrained(LOG_MEL)
        waves = vocoder(LOG_MEL)
    assert waves.shape == (2, 1, 6 * 512)
    assert (waves - expected).norm() < 1e-4 * (expected - expected.mean()).norm()
    assert expected.std() > 0.01
    assert expected.abs().max() < 1.0
    assert not [name for name in vocoder.state_dict() if "weight_g" in name]  # it is folded
    assert not any(parameter.requires_grad for parameter in vocoder.parameters())
    with torch.no_grad():
        vocoder.conv_post.weight.mul_(1e4)
        assert vocoder(LOG_MEL).abs().max() == 1.0


def test_loads_weights_saved_without_weight_norm(tmp_path):
    plain = bigvgan_vocoder.random_bigvgan(TINY_BIGVGAN, torch.Generator().manual_seed(2))
    plain._save_pretrained(tmp_path)
    with torch.no_grad():
        waves = plain(LOG_MEL)
        assert torch.equal(bigvgan_vocoder.load_bigvgan(tmp_path)(LOG_MEL), waves)
    assert 0.001 < waves.std() < 0.5


@pytest.mark.slow  # the meta device takes seconds to import
def test_full_size_has_the_published_number_of_parameters():
    with torch.device("meta"):
        vocoder = bigvgan_vocoder._make_bigvgan(bigvgan_vocoder.BIGVGAN_V2_44K)
    bigvgan_vocoder._remove_weight_norm(vocoder)
    assert sum(value.numel() for value in vocoder.parameters()) == 122_152_752


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampling_rate": 24_000}, "another spectrogram"),
        ({"num_mels": 80}, r"another spectrogram: .* wanted \{'sampling_rate': 44100"),
        ({"upsample_rates": [8, 4, 2, 2, 2, 4]}, "multiply to 512"),
        ({"upsample_initial_channel": 128}, "does not fit"),
        ({"resblock": "3"}, "not a configuration of BigVGAN"),
        ({"activation": "relu"}, "not a configuration of BigVGAN"),
        ({"snake_logscale": None}, "not a configuration of BigVGAN"),
    ],
)
def test_other_configurations_are_refused(folder, changes, message):
    settings = (TINY_BIGVGAN | changes).items()
    stated = {name: value for name, value in settings if value is not None}
    (folder / "config.json").write_text(json.dumps(stated))
    with pytest.raises(CheckpointError, match=message):
        bigvgan_vocoder.load_bigvgan(folder, MEL_44K)


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_a_broken_configuration_is_refused(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match="fetch the vocoder again"):
        bigvgan_vocoder.load_bigvgan(folder)
    with pytest.raises(CheckpointError, match="does not exist"):
        bigvgan_vocoder.load_bigvgan(folder / "nowhere")
