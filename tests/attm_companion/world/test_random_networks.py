import pytest
import torch
from published_files import SMALL_CLAP, SMALL_MERT, SMALL_T5
from vae_weights import TINY, TINY_BIGVGAN

from attm_companion.world import random_networks
from attm_companion.world.random_networks import random_flan_t5, random_laion_clap, random_mdx_extra
from attm_core.codec.bigvgan_vocoder import random_bigvgan
from attm_core.codec.mmaudio_vae import random_mmaudio_vae
from attm_core.generation.separation import _mdx_extra_bag, remove_vocals
from attm_core.randomness import torch_generator

SOURCES = ["drums", "bass", "other", "vocals"]
SMALL_DEMUCS = {"channels": 4, "depth": 5, "dconv_attn": 9, "dconv_lstm": 9, "nfft": 1024}
SMALL_DEMUCS |= {"samplerate": 8000}


def n_parameters(make) -> int:
    """Of a module that is made without values."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in make().parameters())


def test_published_sizes() -> None:
    from demucs.hdemucs import HDemucs
    from transformers import HubertConfig, HubertModel, T5Config, T5EncoderModel

    # 32,128 × 1024 words; 24 layers of attention, gated feed-forward and two norms; the table of
    # relative positions; the last norm.
    layer = 4 * 1024**2 + 3 * 1024 * 2816 + 2 * 1024
    t5 = T5Config(**random_networks.FLAN_T5_LARGE)
    assert n_parameters(lambda: T5EncoderModel(t5)) == 32_128 * 1024 + 24 * layer + 32 * 16 + 1024
    mert = HubertConfig(**random_networks.MERT_V1_330M)
    assert n_parameters(lambda: HubertModel(mert)) == 315_427_968 + 1024  # a vector that masks
    # 83.6 million, as torchaudio's documentation of the same network says.
    assert round(n_parameters(lambda: HDemucs(SOURCES, emb_smooth=False)) / 1e5) == 836


@pytest.mark.parametrize(
    "weights",
    [
        lambda source: random_flan_t5(source, SMALL_T5 | {"vocab_size": 256})._model,
        lambda source: random_laion_clap(source, SMALL_CLAP)._network,
        lambda source: random_networks.random_mert(source, SMALL_MERT)._model,
        lambda source: random_bigvgan(TINY_BIGVGAN, source),
        lambda source: random_mmaudio_vae(source, TINY),
    ],
    ids=["flan_t5", "laion_clap", "mert", "bigvgan", "mel VAE"],
)
def test_weights_follow_the_generator_alone(weights) -> None:
    before = torch.get_rng_state()
    first, again, other = (dict(weights(torch_generator(s)).named_parameters()) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    constant = ("spectrogram_extractor", "logmel_extractor")  # of CLAP: Fourier and mel matrices
    kept = {name: value for name, value in first.items() if not any(c in name for c in constant)}
    matrices = [name for name, value in kept.items() if value.ndim > 1]
    drawn = [name for name in matrices if first[name].std() > 0]
    assert len(drawn) > 0.9 * len(matrices)
    assert all(not torch.equal(first[name], other[name]) for name in drawn)
    assert not any(value.requires_grad for value in first.values())


def test_texts_are_told_apart_without_a_vocabulary() -> None:
    texts = ["calm piano", "fast drums", ""]
    clap = random_laion_clap(torch_generator(0), SMALL_CLAP).embed_text(texts)
    states = random_flan_t5(torch_generator(0), SMALL_T5 | {"vocab_size": 259}).encode(texts)
    for found in (clap, states.flatten(1)):
        assert torch.isfinite(found).all()
        assert torch.pdist(found).min() > 0


def test_the_bag_is_the_published_one() -> None:
    files, segment = _mdx_extra_bag()
    bag = random_mdx_extra(torch_generator(0), SMALL_DEMUCS).model
    assert len(bag.models) == len(files)
    assert segment == random_networks.SEGMENT_S
    assert [model.segment for model in bag.models] == [segment] * 4
    assert bag.sources == SOURCES
    assert bag.audio_channels == 2
    assert [model.cac for model in bag.models] == [True, True, False, False]
    assert all(model.channels == 4 and model.hybrid for model in bag.models)


def test_it_separates_deterministically_by_four_models_of_their_own() -> None:
    wave = 0.1 * torch.randn(1, 1, 8000, generator=torch_generator(0))
    one, same, another = (random_mdx_extra(torch_generator(s), SMALL_DEMUCS) for s in (0, 0, 1))
    left, again, other = (remove_vocals(wave, separator) for separator in (one, same, another))
    assert left.shape == wave.shape
    assert torch.isfinite(left).all()
    assert torch.equal(left, again)
    assert not torch.allclose(left, other)
    first, second = (dict(model.named_parameters()) for model in one.model.models[:2])
    assert not [n for n, v in first.items() if v.ndim > 1 and torch.equal(v, second[n])]
