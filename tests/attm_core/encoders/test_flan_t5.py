import json

import pytest
import torch
from published_files import write_flan_t5
from safetensors.torch import load_file, save_file

from attm_core.encoders.flan_t5 import FlanT5
from attm_core.errors import AssetError, CheckpointError

TEXTS = ["a calm piano piece", "", "loud drums, " * 60]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flan_t5")
    return folder, write_flan_t5(folder)


@pytest.fixture
def folder(published, tmp_path):
    for path in published[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def rewrite(folder, change):
    path = folder / "model.safetensors"
    save_file(load_file(path) | change, path)


def test_states_are_those_of_the_whole_models_encoder(published):
    folder, whole = published
    encoder = FlanT5.load(folder)
    states = encoder.encode(TEXTS)
    assert states.shape == (3, 77, 16)
    # "a calm piano piece </s>" and padding, numbered by hand from the vocabulary.
    ids = torch.tensor([[3, 4, 5, 6, 1] + [0] * 72])
    mask = (ids != 0).long()
    expected = whole.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    assert torch.equal(states[:1], expected.detach())


def test_all_positions_are_handed_on_but_masked_inside_and_texts_cut(published):
    encoder = FlanT5.load(published[0])
    states = encoder.encode(TEXTS)
    assert (states.abs().sum(-1) > 0).all()
    assert torch.equal(*encoder.encode([TEXTS[2], TEXTS[2] + TEXTS[0]]))  # both are cut
    many = encoder.encode(TEXTS * 7)
    assert torch.allclose(many[20], states[2], atol=1e-6)
    assert encoder.encode([]).shape == (0, 77, 16)
    assert not any(weight.requires_grad for weight in encoder._model.parameters())
    shorter = FlanT5(encoder._model, encoder._tokenizer, n_tokens=12).encode(TEXTS[:1])
    assert torch.allclose(shorter[0, :5], states[0, :5], atol=1e-6)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_missing_file_says_how_to_fetch_it(folder, name):
    (folder / name).unlink()
    with pytest.raises(AssetError, match=rf"lacks {name}: run `attm assets fetch flan_t5`"):
        FlanT5.load(folder)


def test_a_tokenizer_of_another_model_is_refused_and_the_decoder_ignored(folder):
    rewrite(folder, {"lm_head.weight": torch.full((3,), torch.nan)})
    assert FlanT5.load(folder).encode(["a"]).isfinite().all()
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": 20}
    (folder / "config.json").write_text(json.dumps(config))
    rewrite(folder, {"shared.weight": torch.ones(20, 16)})
    with pytest.raises(CheckpointError, match="does not belong to a model of 20"):
        FlanT5.load(folder)
    (folder / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(CheckpointError, match=r"tokenizer.json is unreadable"):
        FlanT5.load(folder)
