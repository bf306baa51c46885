"""LAION-CLAP: what it reads of an audio; a checkpoint of a small model of the real class.

Importing the package's model file and building its smallest network takes most of the time.
"""

import sys

import published_files
import pytest
import torch

from attm_core.configuration import ClapArchitecture
from attm_core.encoders.laion_clap import (
    _CHECKPOINTS,
    _POSITION_IDS,
    _WINDOW,
    LaionClap,
    _quantize,
    _ten_seconds,
    build_network,
)
from attm_core.errors import AssetError, CheckpointError, ConfigError, InputError
from attm_core.randomness import torch_generator

pytestmark = pytest.mark.slow

NAME = _CHECKPOINTS["evaluation"][1]
RATE = 48_000


@pytest.fixture(scope="module")
def network():
    return published_files.redraw(build_network(published_files.SMALL_CLAP), "clap")


@pytest.fixture(scope="module")
def published(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clap")
    assert published_files.write_roberta_tokenizer(folder) == published_files.SMALL_CLAP.n_words
    torch.save(published_files.clap_checkpoint(network), folder / NAME)
    return folder


@pytest.fixture(scope="module")
def clap(published):
    return load(published)


def load(folder, tokenizer_folder=None):
    given = {"architecture": published_files.SMALL_CLAP}
    return LaionClap.load("evaluation", folder, tokenizer_folder or folder, **given)


def noise(*shape):
    return torch.randn(*shape, generator=torch_generator(0, "clap", "noise")) * 0.1


def test_quantisation_truncates_and_clips():
    waves = torch.tensor([[0.0, 0.5, -0.5, 1.7, -1.7, 1.9 / 32767, -1.9 / 32767]])
    whole = [0, 16383, -16383, 32767, -32767, 1, -1]
    assert torch.equal(_quantize(waves), torch.tensor([whole]) / 32767)


def test_short_audio_is_repeated_whole_then_padded_and_long_audio_cropped():
    waves = torch.arange(1.0, 190_001.0)[None]
    padding = torch.zeros(1, _WINDOW - 380_000)
    assert torch.equal(_ten_seconds(waves), torch.cat([waves, waves, padding], dim=1))
    assert torch.equal(_ten_seconds(torch.ones(1, 1)), torch.ones(1, _WINDOW))
    waves = torch.arange(_WINDOW + 101.0)[None]
    assert _ten_seconds(waves)[0, 0] == 50
    assert _ten_seconds(waves, "start")[0, 0] == 0
    assert _ten_seconds(waves).shape == _ten_seconds(waves, "start").shape == (1, _WINDOW)
    assert torch.equal(_ten_seconds(waves[:, :_WINDOW]), waves[:, :_WINDOW])


def test_audio_embeddings_are_the_networks(clap, network):
    waves = noise(2, _WINDOW)
    embedded = clap.embed_audio(waves[:, None], RATE)
    given = {"waveform": _quantize(waves), "longer": torch.tensor([False, False])}
    mel = network.audio_branch(given, device="cpu")
    expected = torch.nn.functional.normalize(network.audio_projection(mel["embedding"]), dim=-1)
    assert embedded.shape == (2, 512)
    assert torch.allclose(embedded, expected.detach(), atol=1e-6)
    assert torch.allclose(embedded.norm(dim=1), torch.ones(2), atol=1e-5)
    assert not torch.allclose(embedded[0], embedded[1], atol=1e-4)


def test_long_audio_embeds_the_same_every_time(clap):
    waves = noise(1, _WINDOW + 96_000)
    first = clap.embed_audio(waves[:, None], RATE)
    assert torch.equal(first, clap.embed_audio(waves[:, None], RATE))
    assert torch.equal(first, clap.embed_audio(waves[:, 48_000:-48_000][:, None], RATE))
    at_start = LaionClap(clap._network, clap._tokenizer, crop="start")
    assert not torch.allclose(first, at_start.embed_audio(waves[:, None], RATE), atol=1e-5)


def test_text_embeddings_are_the_networks(clap, network):
    embedded = clap.embed_text(["the", ""])
    # Numbered by hand: <s>, "th" (260), "e" (byte 0x65 is the 69th of the byte alphabet), </s>.
    ids = torch.tensor([[0, 260, 4 + 68, 2] + [1] * 73, [0, 2] + [1] * 75])
    pooled = network.text_branch(input_ids=ids, attention_mask=(ids != 1).long()).pooler_output
    expected = torch.nn.functional.normalize(network.text_projection(pooled), dim=-1)
    assert torch.allclose(embedded, expected.detach(), atol=1e-6)
    assert not torch.allclose(embedded[0], embedded[1], atol=1e-4)


def test_texts_are_cut_after_77_tokens_and_nothing_gives_nothing(clap):
    text = "x" * 75
    first, second, shorter = clap.embed_text([text, text + "yz", text[:-1] + "y"])
    assert torch.equal(first, second) and not torch.equal(first, shorter)
    assert clap.embed_text([]).shape == (0, 512)
    assert clap.embed_audio(torch.zeros(0, 1, _WINDOW), RATE).shape == (0, 512)
    with pytest.raises(InputError, match="NaN or infinite"):
        clap.embed_audio(torch.full((1, 1, 100), torch.inf), RATE)


def test_building_touches_neither_the_package_nor_global_randomness():
    with pytest.raises(ConfigError, match="no configuration 'HTSAT-huge'"):
        build_network(ClapArchitecture("HTSAT-huge"))
    before = torch.random.get_rng_state()
    build_network(published_files.SMALL_CLAP)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not [name for name in sys.modules if name.split(".")[0] in ("laion_clap", "clap_module")]


def test_published_size():
    network = build_network(ClapArchitecture())
    assert sum(parameter.numel() for parameter in network.parameters()) == 199_564_633
    roberta = network.text_branch.config  # what a checkpoint's shapes do not tell, of roberta-base
    assert (roberta.layer_norm_eps, roberta.hidden_act, roberta.pad_token_id) == (1e-5, "gelu", 1)
    assert (roberta.num_attention_heads, roberta.max_position_embeddings) == (12, 514)
    assert len(network.state_dict()) == 504  # 505 in the files, with the buffer that is dropped


def test_other_positions_are_refused(network, published, tmp_path):
    content = published_files.clap_checkpoint(network)
    content["state_dict"][f"module.{_POSITION_IDS}"].zero_()
    torch.save(content, tmp_path / NAME)
    with pytest.raises(CheckpointError, match="is not 0, 1, 2"):
        load(tmp_path, published)


def test_a_bare_state_dict_without_the_old_buffer_loads(network, published, tmp_path, clap):
    state = published_files.clap_checkpoint(network)["state_dict"]
    del state[f"module.{_POSITION_IDS}"]
    torch.save(state, tmp_path / NAME)
    texts = ["the", "piano"]
    assert torch.equal(load(tmp_path, published).embed_text(texts), clap.embed_text(texts))


def test_missing_files_say_how_to_fetch_them(published, tmp_path):
    with pytest.raises(AssetError, match=r"90\.14\.pt: run `attm assets fetch clap_evaluation`"):
        load(tmp_path, published)
    with pytest.raises(AssetError, match=r"89\.98\.pt: run `attm assets fetch clap_conditioning`"):
        LaionClap.load("conditioning", tmp_path, published, architecture=published_files.SMALL_CLAP)
    with pytest.raises(AssetError, match=r"merges.txt: run `attm assets fetch roberta_tokenizer`"):
        load(published, tmp_path)


@pytest.mark.parametrize(("text", "match"), [("{", "unreadable"), ('{"a": 0}', "does not belong")])
def test_another_tokenizer_is_refused(published, tmp_path, text, match):
    published_files.write_roberta_tokenizer(tmp_path)
    (tmp_path / "vocab.json").write_text(text)
    with pytest.raises(CheckpointError, match=match):
        load(published, tmp_path)
