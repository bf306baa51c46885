"""Every weight file is loaded whole or refused: a table of loaders against a table of damages."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from published_files import MakesFolder, write_flan_t5, write_mert
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from vae_weights import TINY, formula_state
from vocoder_settings import TINY_BIGVGAN

from attm_core.backbone.checkpoint import load_model, load_reference_state_dict, save_model
from attm_core.backbone.flux_audio import FluxAudio, FluxAudioConfig
from attm_core.codec.bigvgan_vocoder import load_bigvgan, random_bigvgan
from attm_core.codec.mmaudio_vae import MMAudioVAE, MMAudioVAEConfig, load_mmaudio_vae
from attm_core.encoders.flan_t5 import FlanT5
from attm_core.encoders.mert import Mert
from attm_core.errors import AssetError, CheckpointError
from attm_core.files import read_metadata
from attm_core.randomness import torch_generator
from attm_core.ranker.tunejury import TuneJuryHead, load_head, save_head
from attm_core.weights import build, load_module, save_module

Loader = tuple[str, str, Callable[[], object]]  # weight file, a tensor in it, how it is loaded
SIZES = FluxAudioConfig(
    n_channels=3, n_latents=4, n_tokens=2, token_width=5, pooled_width=6,
    width=16, n_heads=2, n_joint=1, n_fused=1, ffn_multiple=8,
)  # fmt: skip
HEAD = TuneJuryHead(512, 0, (8, 4), text_width=0, generator=torch_generator(3, "head"))


class Small(nn.Module):
    def __init__(self, config: MMAudioVAEConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(config.n_mels, 2)


def flan_t5(folder: Path) -> Loader:
    write_flan_t5(folder)
    return "model.safetensors", "encoder.final_layer_norm.weight", lambda: FlanT5.load(folder)


def mert(folder: Path) -> Loader:
    write_mert(folder)
    return "pytorch_model.bin", "encoder.layer_norm.weight", lambda: Mert.load(folder)


def head_of_ours(folder: Path) -> Loader:
    path = save_head(HEAD, folder / "head.safetensors")
    return path.name, "net.1.running_var", lambda: load_head(path)


def released_head(folder: Path) -> Loader:
    torch.save(HEAD.state_dict(), folder / "head.pt")
    return "head.pt", "net.1.running_var", lambda: load_head(folder / "head.pt")


def backbone_of_ours(folder: Path) -> Loader:
    path = save_model(FluxAudio(SIZES, torch_generator(0)), folder / "model.safetensors")
    return path.name, "final_layer.conv.bias", lambda: load_model(path)


def reference_backbone(folder: Path) -> Loader:
    path = folder / "released.pth"
    torch.save(FluxAudio(SIZES, torch_generator(0)).state_dict(), path)
    return path.name, "final_layer.conv.bias", lambda: load_reference_state_dict(path, SIZES)


def mel_vae(folder: Path) -> Loader:
    path = folder / "v1-44.pth"
    torch.save(formula_state(MMAudioVAE(TINY).state_dict()), path)
    return path.name, "decoder.conv_in.weight", lambda: load_mmaudio_vae(path, TINY)


def vocoder(folder: Path) -> Loader:
    random_bigvgan(TINY_BIGVGAN, torch_generator(0))._save_pretrained(folder)
    return "bigvgan_generator.pt", "conv_pre.bias", lambda: load_bigvgan(folder)


def module_of_ours(folder: Path) -> Loader:
    path = save_module(folder / "net.safetensors", build(lambda: Small(TINY)), TINY)
    return path.name, "linear.bias", lambda: load_module(path, MMAudioVAEConfig, Small)


PICKLES = [mert, released_head, reference_backbone, mel_vae, vocoder]
LOADERS = [*PICKLES, flan_t5, head_of_ours, backbone_of_ours, module_of_ours]
DAMAGES: dict[str, tuple[Callable[[Tensor], Tensor | None], str]] = {
    "NaN": (lambda value: torch.full_like(value, torch.nan), "{name} holds NaN or infinite"),
    "shape": (lambda value: torch.ones(2, 2, 2, 2), "{name} has shape (2, 2, 2, 2), wanted"),
    "type": (lambda value: value.long(), "{name} is of the type torch.int64"),
    "missing": (lambda value: None, "{name} is missing"),
}


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the state dict of a weight file in place."""
    if path.suffix == ".safetensors":
        content = load_file(path)
        edit(content)
        save_file(content, path, read_metadata(path))
    else:
        content = torch.load(path, weights_only=True)
        edit(content.get("generator", content))
        torch.save(content, path)


@pytest.mark.parametrize("publish", LOADERS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_do_not_fit_are_refused_by_name(tmp_path, publish, damage):
    file, name, load = publish(tmp_path)
    alter, said = DAMAGES[damage]

    def edit(state: dict[str, Tensor]) -> None:
        changed = alter(state.pop(name))
        state |= {} if changed is None else {name: changed}

    change(tmp_path / file, edit)
    with pytest.raises(CheckpointError) as refusal:
        load()
    assert said.format(name=name) in str(refusal.value)


@pytest.mark.parametrize("publish", LOADERS)
def test_a_tensor_too_many_is_refused(tmp_path, publish):
    file, name, load = publish(tmp_path)
    extra = f"{name.split('.')[0]}.extra"
    change(tmp_path / file, lambda state: state.update({extra: torch.ones(1)}))
    with pytest.raises(CheckpointError, match=f"{extra} is unknown"):
        load()


@pytest.mark.parametrize("publish", LOADERS)
def test_a_missing_cut_or_other_file_is_refused(tmp_path, publish):
    file, _, load = publish(tmp_path)
    path = tmp_path / file
    whole = path.read_bytes()
    noise = torch.randint(0, 256, (500,), generator=torch_generator(0, "bytes"))
    for content in (whole[:-100], whole[:100], b"", b"<html>404</html>" * 40, bytes(noise)):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="again"):
            load()
    path.unlink()
    with pytest.raises((CheckpointError, AssetError), match=r"does not exist|attm assets fetch"):
        load()


@pytest.mark.parametrize("publish", PICKLES)
def test_code_in_a_pickle_is_not_run(tmp_path, publish):
    file, name, load = publish(tmp_path)
    trap = MakesFolder(tmp_path / "made")
    change(tmp_path / file, lambda state: state.update({name: trap}))
    with pytest.raises(CheckpointError, match="asks for code to be run"):
        load()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("publish", LOADERS)
def test_loading_asks_nobody_says_nothing_and_draws_nothing(tmp_path, publish, monkeypatch, capsys):
    _, _, load = publish(tmp_path)
    capsys.readouterr()
    monkeypatch.setattr(socket.socket, "connect", None)
    before = torch.random.get_rng_state()
    load()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("publish", [flan_t5, mert])
def test_every_missing_file_of_an_asset_says_how_to_fetch_it(tmp_path, publish):
    *_, load = publish(tmp_path)
    skipped = {"generation_config.json"}
    for path in [path for path in tmp_path.iterdir() if path.name not in skipped]:
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(AssetError, match=f"lacks {path.name}: run `attm assets fetch "):
            load()
        path.write_bytes(content)
