import math

import pytest
import torch

from attm_core.errors import CheckpointError, InputError
from attm_core.files import save_tensors
from attm_core.randomness import torch_generator
from attm_core.ranker.tunejury import (
    ClipFeatures,
    FeatureWidths,
    TuneJuryHead,
    _StreamDropout,
    load_head,
    save_head,
)


def small_head(clap: int = 3, mert: int = 5, text: int = 3, seed: int = 0) -> TuneJuryHead:
    generator = torch_generator(seed, "head")
    return TuneJuryHead(clap, mert, (8, 4), text_width=text, generator=generator)


def features(n: int, *widths: int) -> ClipFeatures:
    generator = torch_generator(0, "features")
    return ClipFeatures(*(torch.randn(n, width, generator=generator) for width in widths))


def test_paper_head_has_the_30_released_names_and_2791169_parameters():
    head = TuneJuryHead()
    linear = {f"net.{i}.{name}" for i in (0, 4, 8, 12, 16) for name in ("weight", "bias")}
    norm_names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    norms = {f"net.{i}.{name}" for i in (1, 5, 9, 13) for name in norm_names}
    assert set(head.state_dict()) == linear | norms
    assert len(head.state_dict()) == 30
    assert sum(parameter.numel() for parameter in head.parameters()) == 2_791_169
    assert head.state_dict()["net.0.weight"].shape == (1024, 2048)


def test_weights_are_kaiming_normal_by_fan_out_with_zero_biases():
    head = TuneJuryHead(256, 512, (512, 256), generator=torch_generator(1, "init"))
    weight = head.state_dict()["net.0.weight"]
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / 512), rel=0.02)
    assert float(weight.mean()) == pytest.approx(0.0, abs=1e-3)
    assert not head.state_dict()["net.0.bias"].any()
    state = torch.get_rng_state()
    first, again, other = small_head(), small_head(), small_head(seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.net[0].weight, again.net[0].weight)
    assert not torch.equal(first.net[0].weight, other.net[0].weight)


def test_features_enter_as_clap_audio_then_mert_then_clap_text():
    head = TuneJuryHead(1, 1, (), generator=torch_generator(0, "head"), text_width=1)
    with torch.no_grad():
        head.net[0].weight.copy_(torch.tensor([[100.0, 10.0, 1.0]]))
    score = head(torch.tensor([[1.0]]), torch.tensor([[2.0]]), torch.tensor([[3.0]]))
    assert score.tolist() == [123.0]


def test_score_by_hand_through_batchnorm_and_relu():
    head = TuneJuryHead(1, 0, (2,), text_width=0, generator=torch_generator(0, "head")).eval()
    with torch.no_grad():
        head.net[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        head.net[1].running_mean.copy_(torch.tensor([1.0, 0.0]))
        head.net[1].running_var.copy_(torch.tensor([4.0, 1.0]) - head.net[1].eps)
        head.net[4].weight.copy_(torch.tensor([[2.0, 5.0]]))
        head.net[4].bias.fill_(0.5)
    empty = torch.zeros(2, 0)
    score = head(torch.tensor([[4.0], [-3.0]]), empty, empty)
    # 4: relu((4 − 1)/2) = 1.5 and relu(−4) = 0;  −3: relu(−2) = 0 and relu(3) = 3.
    assert score.tolist() == pytest.approx([2 * 1.5 + 0.5, 5 * 3.0 + 0.5])
    given = ClipFeatures(torch.tensor([[4.0], [-3.0]]), torch.ones(2, 5), torch.ones(2, 3))
    assert torch.equal(head.score(given), score), "it takes no MERT and no text"


@pytest.mark.parametrize(
    ("name", "widths"), [("CLAP audio", (4, 5, 3)), ("MERT", (3, 4, 3)), ("CLAP text", (3, 5, 2))]
)
def test_a_wrong_width_is_named(name, widths):
    with pytest.raises(InputError, match=f"{name} features have shape"):
        small_head().eval().score(features(2, *widths))
    with pytest.raises(InputError, match="is empty"):
        TuneJuryHead(0, 0)


def test_dropout_draws_from_its_generator_and_keeps_the_mean():
    layer = _StreamDropout(0.5)
    layer.generator = torch_generator(0, "dropout")
    state = torch.get_rng_state()
    dropped = layer(torch.ones(200, 200))
    assert torch.equal(torch.get_rng_state(), state)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.02)
    layer.generator = torch_generator(0, "dropout")
    assert torch.equal(layer(torch.ones(200, 200)), dropped)
    assert torch.equal(layer.eval()(dropped), dropped)
    with pytest.raises(InputError, match="set_dropout_generator"):
        small_head().train().score(features(4, 3, 5, 3))


def test_safetensors_round_trip_keeps_weights_widths_and_scores(tmp_path):
    head = small_head(3, 5, 2).eval()
    loaded = load_head(save_head(head, tmp_path / "head.safetensors"))
    assert loaded.feature_widths == (3, 5, 2)
    assert loaded.hidden == (8, 4)
    inputs = torch.randn(6, 3), torch.randn(6, 5), torch.randn(6, 2)
    assert torch.equal(head(*inputs), loaded(*inputs))


@pytest.mark.parametrize("widths", [(512, 1024, 512), (512, 0, 0)])
def test_released_layouts_are_known_from_their_number_of_inputs(tmp_path, widths):
    torch.save({"state_dict": small_head(*widths).state_dict()}, tmp_path / "tunejury.pt")
    loaded = load_head(tmp_path / "tunejury.pt")
    assert loaded.feature_widths == widths
    assert not loaded.training


def test_encoder_swap_head_has_other_names_and_needs_its_widths(tmp_path):
    head = small_head(6, 0, 6).state_dict()
    state = {name.replace("net.", "score."): value for name, value in head.items()}
    torch.save(state, tmp_path / "muq.pt")
    with pytest.raises(CheckpointError, match=r"12 inputs and does not say how they divide"):
        load_head(tmp_path / "muq.pt")
    assert load_head(tmp_path / "muq.pt", FeatureWidths(6, 0, 6)).hidden == (8, 4)
    with pytest.raises(CheckpointError, match="add up to 11"):
        load_head(tmp_path / "muq.pt", FeatureWidths(6, 0, 5))


def test_other_models_are_refused(tmp_path):
    save_tensors(tmp_path / "other.safetensors", {"encoder.weight": torch.zeros(2, 2)})
    with pytest.raises(CheckpointError, match=r"holds a tensor 'encoder\.weight'"):
        load_head(tmp_path / "other.safetensors")
    save_tensors(tmp_path / "short.safetensors", {"net.0.weight": torch.zeros(2, 512)})
    with pytest.raises(CheckpointError, match="no chain of linear layers"):
        load_head(tmp_path / "short.safetensors")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="no state dict of tensors, but a list"):
        load_head(tmp_path / "list.pt")
