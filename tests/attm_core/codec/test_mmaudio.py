import pytest
import torch
from vae_weights import TINY, TINY_BIGVGAN, formula_state

from attm_core.codec.bigvgan_vocoder import random_bigvgan
from attm_core.codec.mel import MEL_44K, LogMel
from attm_core.codec.mmaudio import SAMPLES_PER_LATENT, MMAudioCodec
from attm_core.codec.mmaudio_vae import MMAudioVAE, random_mmaudio_vae
from attm_core.configuration import CLIP_SAMPLES, MMAudioVAEConfig
from attm_core.errors import CheckpointError, ConfigError, InputError

SHORT = 5000  # four whole latents and 904 samples


@pytest.fixture(scope="module")
def codec():
    generator = torch.Generator().manual_seed(0)
    vocoder = random_bigvgan(TINY_BIGVGAN, generator)
    return MMAudioCodec(random_mmaudio_vae(generator, TINY), vocoder, SHORT, batch_size=2)


def waves(n, n_samples=SHORT):
    return 0.1 * torch.randn(n, n_samples, generator=torch.Generator().manual_seed(1))


def latents(n):
    return torch.randn(n, 4, 3, generator=torch.Generator().manual_seed(2))


def test_ten_seconds_are_430_latents_of_440320_samples():
    codec = MMAudioCodec(MMAudioVAE(MMAudioVAEConfig()), None)
    assert (codec.sample_rate_hz, codec.n_samples) == (44_100, CLIP_SAMPLES) == (44_100, 441_000)
    assert (codec.n_latents, codec.n_channels) == (430, 40)
    assert codec.n_latents * SAMPLES_PER_LATENT == 440_320
    codec = MMAudioCodec(random_mmaudio_vae(torch.Generator().manual_seed(0), TINY), None)
    mean, std = codec.encode(waves(1, CLIP_SAMPLES)[:, None])
    assert mean.shape == std.shape == (1, 430, 3)
    assert codec.decode_mel(mean).shape == (1, 128, 860)


def test_encode_is_the_vae_on_the_mel_of_whole_latents_and_sees_no_more(codec):
    mean, std = codec.encode(waves(1)[:, None])
    expected = codec.vae.encode(LogMel(MEL_44K)(waves(1)[:, : 4 * SAMPLES_PER_LATENT]))
    assert torch.equal(mean, expected[0].transpose(1, 2))
    assert torch.equal(std, expected[1].transpose(1, 2))
    assert mean.is_contiguous()
    changed = waves(1)
    changed[:, 4 * SAMPLES_PER_LATENT :] = 0.9
    assert torch.equal(codec.encode(changed[:, None])[0], mean)


def test_decode_pads_with_silence(codec):
    decoded = codec.decode(latents(1))[:, 0]
    assert decoded.shape == (1, SHORT)
    assert decoded.abs().max() <= 1.0
    assert torch.count_nonzero(decoded[:, 4 * SAMPLES_PER_LATENT :]) == 0
    assert decoded[:, : 4 * SAMPLES_PER_LATENT].std() > 0
    assert codec.decode_mel(latents(2)).std().item() == pytest.approx(2.3, rel=0.4)
    expected = codec.vocoder(codec.decode_mel(latents(1)))[:, 0]
    assert torch.equal(decoded[:, : 4 * SAMPLES_PER_LATENT], expected)


def test_batches_change_nothing(codec):
    three = codec.encode(waves(3)[:, None])[0]
    one_by_one = torch.cat([codec.encode(wave[None][:, None])[0] for wave in waves(3)])
    assert torch.allclose(three, one_by_one, atol=1e-5)
    one_by_one = torch.cat([codec.decode(latent[None]) for latent in latents(3)])
    assert torch.allclose(codec.decode(latents(3)), one_by_one, atol=1e-5)


def test_half_precision_in_float32_out():
    generator = torch.Generator().manual_seed(0)
    vae, vocoder = random_mmaudio_vae(generator, TINY), random_bigvgan(TINY_BIGVGAN, generator)
    codec = MMAudioCodec(vae, vocoder, SHORT)
    exact = codec.encode(waves(1)[:, None])[0]
    codec = codec.to(torch.bfloat16)
    mean, std = codec.encode(waves(1)[:, None])
    decoded = codec.decode(mean)
    assert mean.dtype == std.dtype == decoded.dtype == torch.float32
    assert (mean - exact).norm() < 0.05 * exact.norm()


def test_loads_from_the_published_files(tmp_path):
    torch.save(formula_state(MMAudioVAE(TINY).state_dict()), tmp_path / "v1-44.pth")
    random_bigvgan(TINY_BIGVGAN, torch.Generator().manual_seed(0))._save_pretrained(tmp_path)
    codec = MMAudioCodec.load(tmp_path / "v1-44.pth", tmp_path, SHORT, TINY)
    assert codec.decode(codec.encode(waves(1)[:, None])[0]).shape == (1, 1, SHORT)
    with pytest.raises(CheckpointError, match="wanted"):
        MMAudioCodec.load(tmp_path / "v1-44.pth", None)  # it is not of the published size


def test_what_cannot_be_is_refused(codec):
    for shape in ((1, 1, SHORT - 1), (1, SHORT), (1, 1, 1)):
        with pytest.raises(InputError, match=r"not 5000|must have shape"):
            codec.encode(torch.zeros(shape))
    for shape in ((1, 3, 4), (4, 3), (1, 5, 3)):
        with pytest.raises(InputError, match=r"not \(batch, 4, 3\)"):
            codec.decode(torch.zeros(shape))
    for odd in (torch.nan, torch.inf):
        with pytest.raises(InputError, match="waves hold NaN or infinite"):
            codec.encode(torch.full((1, 1, SHORT), odd))
    with pytest.raises(InputError, match="latent statistics"):
        codec.decode(torch.full((1, 4, 3), torch.nan))
    with pytest.raises(ConfigError, match="without a vocoder"):
        MMAudioCodec(codec.vae, None, SHORT).decode(latents(1))
    with pytest.raises(ConfigError, match="80 mel bands"):
        MMAudioCodec(MMAudioVAE(MMAudioVAEConfig(n_mels=80, n_channels=20, width=384)), None)
    with pytest.raises(ConfigError, match="at least 2048"):
        MMAudioCodec(codec.vae, None, 2047)
