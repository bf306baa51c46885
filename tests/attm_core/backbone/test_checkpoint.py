import pytest
import torch
from seeded_weights import random_model

from attm_core.backbone import checkpoint
from attm_core.errors import CheckpointError
from attm_core.files import save_tensors


@pytest.fixture
def model():
    return random_model("global_adaln")


def test_saved_model_comes_back_with_its_configuration(model, tmp_path, inputs):
    path = checkpoint.save_model(model, tmp_path / "model.safetensors")
    again = checkpoint.load_model(path)
    assert again.config == model.config
    scores = torch.ones(3)
    assert torch.equal(again(*inputs, scores), model(*inputs, scores))
    model.latent_mean.fill_(torch.nan)  # not set yet
    assert torch.isnan(checkpoint.load_model(checkpoint.save_model(model, path)).latent_mean).all()
    save_tensors(path, {"a": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="is not a attm-flux-audio-1 file"):
        checkpoint.load_model(path)


def test_cross_load_transfers_every_key_and_changes_the_forward(model, inputs):
    v2 = checkpoint.cross_load(model, "input_add")
    assert v2.config.score_head == "input_add"
    for key, value in model.state_dict().items():
        assert torch.equal(v2.state_dict()[key], value)
    scores = torch.ones(3)
    assert not torch.allclose(v2(*inputs, scores), model(*inputs, scores), atol=1e-3)
    back = checkpoint.cross_load(v2, "global_adaln")
    with torch.no_grad():
        v2.score_embed.mlp[0].bias.add_(1.0)  # its own weights
    assert torch.equal(back(*inputs, scores), model(*inputs, scores))


def test_cross_load_takes_only_heads_that_share_their_keys(model):
    v5 = checkpoint.cross_load(random_model("audio_prepend"), "text_prepend")
    assert v5.config.score_head == "text_prepend"
    for head in ("audio_prepend", "per_block_adaln", "none"):
        with pytest.raises(CheckpointError, match=f"not fit FluxAudio with score head '{head}'"):
            checkpoint.cross_load(model, head)


def test_reference_state_dict_loads_with_the_quirks_of_its_loader(model, inputs, tmp_path):
    state = dict(model.state_dict())
    pooled = state.pop("empty_string_feat_c")
    state |= {"latent_rot": torch.zeros(2), "text_rot": torch.zeros(2)}
    state |= {"t_embed.freqs": torch.zeros(128)}
    # The pooled null text is the token mean, which only fits when F = P.
    with pytest.raises(CheckpointError, match="empty_string_feat_c has shape"):
        checkpoint.load_reference_state_dict(state, model.config)
    state["empty_string_feat_c"] = pooled
    assert torch.equal(
        checkpoint.load_reference_state_dict(state, model.config)(*inputs), model(*inputs)
    )
    assert "latent_rot" in state, "the caller's dict is not changed"
    torch.save(state, tmp_path / "released.pth")
    again = checkpoint.load_reference_state_dict(tmp_path / "released.pth", model.config)
    assert torch.equal(again(*inputs), model(*inputs))
