"""Heads on disk: round trips, released layouts, and files that must be refused."""

import pytest
import torch

from attm_core.errors import CheckpointError
from attm_core.files import save_tensors
from attm_core.randomness import torch_generator
from attm_core.ranker.tunejury import FeatureWidths, TuneJuryHead, load_head, save_head


def make_head(*widths: int, hidden: tuple[int, ...] = (8, 4)) -> TuneJuryHead:
    clap, mert, text = widths
    return TuneJuryHead(clap, mert, hidden, text_width=text, generator=torch_generator(3, "h"))


def test_safetensors_round_trip_keeps_weights_widths_and_scores(tmp_path):
    head = make_head(3, 5, 2).eval()
    loaded = load_head(save_head(head, tmp_path / "head.safetensors"))
    assert loaded.feature_widths == (3, 5, 2)
    assert loaded.hidden == (8, 4)
    inputs = torch.randn(6, 3), torch.randn(6, 5), torch.randn(6, 2)
    assert torch.equal(head(*inputs), loaded(*inputs))


@pytest.mark.parametrize("widths", [(512, 1024, 512), (512, 0, 0)])
def test_released_layouts_are_known_from_their_number_of_inputs(tmp_path, widths):
    torch.save({"state_dict": make_head(*widths).state_dict()}, tmp_path / "tunejury.pt")
    loaded = load_head(tmp_path / "tunejury.pt")
    assert loaded.feature_widths == widths
    assert not loaded.training


def test_encoder_swap_head_has_other_names_and_needs_its_widths(tmp_path):
    head = make_head(6, 0, 6).state_dict()
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
