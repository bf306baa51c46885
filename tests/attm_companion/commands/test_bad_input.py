"""Bad input ends in an error of ours that helps, with nothing half-written: readers and commands.

Every reader of weight files meets the same damage; every command that takes files or words meets
what a user, a broken transfer or an attacker could hand it.
"""

import functools
import hashlib
import os
import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from published_files import (
    clap_checkpoint,
    redraw,
    write_flan_t5,
    write_mert,
    write_roberta_tokenizer,
)
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from toy_networks import ToyStudio
from vae_weights import TINY, formula_state
from vocoder_settings import TINY_BIGVGAN

from attm_companion.commands import (
    assets_cli,
    casting,
)
from attm_companion.commands.cli import main
from attm_companion.world.mini_codec import MiniCodec, MiniCodecConfig
from attm_companion.world.mini_separator import (
    MiniDemucsConfig,
    build_mini_demucs,
    load_mini_demucs,
    save_mini_demucs,
)
from attm_core import assets
from attm_core.backbone.checkpoint import (
    load_model,
    load_reference_state_dict,
    save_model,
)
from attm_core.backbone.config import FluxAudioConfig
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.codec.bigvgan_vocoder import load_bigvgan, make_bigvgan
from attm_core.codec.mmaudio_vae import MMAudioVAE, load_mmaudio_vae
from attm_core.encoders.flan_t5 import FlanT5
from attm_core.encoders.laion_clap import CHECKPOINTS, LaionClap
from attm_core.encoders.laion_clap_network import ClapArchitecture, build_network
from attm_core.encoders.mert import Mert
from attm_core.errors import AssetError, CheckpointError, InputError
from attm_core.generation import separation
from attm_core.generation.loudness import normalize_loudness
from attm_core.ranker.checkpoint import load_head, save_head
from attm_core.ranker.tunejury import TuneJuryHead

SMALL_FLUX = FluxAudioConfig(width=16, n_heads=2, ffn_multiple=32, score_head="global_adaln")
SMALL_CLAP = ClapArchitecture("HTSAT-tiny", 4 + 256 + 2, n_layers=1)
WHAT_TO_DO = r"again|[Ff]etch|[Tt]rain|get the weights"


class Code:
    """Unpickling this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


# --- the readers -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Reader:
    """One public reader of weights.

    ``write`` puts good files into a folder and ``load`` reads them; ``file`` is the one with the
    weights, ``tensor`` a name in it, and ``inner`` where a pickle keeps them. ``says_what_to_do``
    is False for files of our own whose message names no remedy yet.
    """

    file: str
    tensor: str
    write: Callable[[Path], object]
    load: Callable[[Path], object]
    inner: str | None = None
    says_what_to_do: bool = True


def write_reference(folder: Path) -> None:
    torch.save(FluxAudio(SMALL_FLUX, generator()).state_dict(), folder / "flux.pth")


def write_vae(folder: Path) -> None:
    torch.save(formula_state(MMAudioVAE(TINY).state_dict()), folder / "v1-44.pth")


def write_head(folder: Path) -> None:
    torch.save(
        {"state_dict": TuneJuryHead(512, 0, [8, 4], text_width=0).state_dict()}, folder / "head.pt"
    )


def write_demucs(folder: Path) -> None:
    from demucs.demucs import Demucs

    sources = ["drums", "vocals"]
    sizes = {"channels": 4, "depth": 2, "dconv_attn": 9, "dconv_lstm": 9, "resample": False}
    keywords = {"audio_channels": 1, "samplerate": 8000, "segment": 2, **sizes}
    with torch.random.fork_rng():
        model = Demucs(sources, **keywords)
    package = {"klass": Demucs, "args": [sources], "kwargs": keywords, "state": model.state_dict()}
    torch.save(package, folder / "model.th")


def load_demucs(folder: Path) -> object:
    """As published: the file's name ends in the first digits of its hash."""
    path = folder / "model.th"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8] if path.is_file() else "none"
    name = f"model.th-{digest}.th"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(separation, "mdx_extra_files", lambda: [name])
        patch.setattr(separation, "_mdx_extra_recipe", lambda: (["model"], 4.0))
        if path.is_file():
            path.rename(folder / name)
        try:
            return separation.load_mdx_extra(folder)
        finally:
            if (folder / name).is_file():
                (folder / name).rename(path)


def write_clap(folder: Path) -> None:
    write_roberta_tokenizer(folder)
    network = redraw(build_network(SMALL_CLAP), "clap")
    torch.save(clap_checkpoint(network), folder / CHECKPOINTS["evaluation"][1])


def write_our_head(folder: Path) -> None:
    save_head(TuneJuryHead(6, 3, [8, 4], text_width=6), folder / "head.safetensors")


def write_our_demucs(folder: Path) -> None:
    config = MiniDemucsConfig()
    save_mini_demucs(build_mini_demucs(config, generator()), config, folder / "d.safetensors")


def write_our_codec(folder: Path) -> None:
    config = MiniCodecConfig(widths=(8, 8), blocks=1)
    with torch.random.fork_rng():
        MiniCodec(config).save(folder / "codec.safetensors")


READERS = {
    "backbone, published": Reader(
        "flux.pth", "final_layer.conv.bias", write_reference,
        lambda folder: load_reference_state_dict(folder / "flux.pth", SMALL_FLUX),
    ),
    "backbone, ours": Reader(
        "flux.safetensors", "final_layer.conv.bias",
        lambda folder: save_model(FluxAudio(SMALL_FLUX, generator()), folder / "flux.safetensors"),
        lambda folder: load_model(folder / "flux.safetensors"),
    ),
    "mel VAE": Reader(
        "v1-44.pth", "decoder.conv_in.weight", write_vae,
        lambda folder: load_mmaudio_vae(folder / "v1-44.pth", TINY),
    ),
    "vocoder": Reader(
        "bigvgan_generator.pt", "conv_pre.bias",
        lambda folder: make_bigvgan(TINY_BIGVGAN)._save_pretrained(folder),
        load_bigvgan, inner="generator",
    ),
    "ranker, published": Reader(
        "head.pt", "net.4.bias", write_head,
        lambda folder: load_head(folder / "head.pt"), inner="state_dict",
    ),
    "ranker, ours": Reader(
        "head.safetensors", "net.4.bias", write_our_head,
        lambda folder: load_head(folder / "head.safetensors"),
    ),
    "separator, published": Reader(
        "model.th", "encoder.0.0.weight", write_demucs, load_demucs, inner="state"
    ),
    "separator, ours": Reader(
        "d.safetensors", "encoder.0.0.weight", write_our_demucs,
        lambda folder: load_mini_demucs(folder / "d.safetensors"), says_what_to_do=False,
    ),
    "codec, ours": Reader(
        "codec.safetensors", "band_mean", write_our_codec,
        lambda folder: MiniCodec.load(folder / "codec.safetensors"), says_what_to_do=False,
    ),
    "FLAN-T5": Reader(
        "model.safetensors", "encoder.final_layer_norm.weight", write_flan_t5, FlanT5.load
    ),
    "MERT": Reader("pytorch_model.bin", "encoder.layer_norm.weight", write_mert, Mert.load),
    "CLAP": Reader(
        CHECKPOINTS["evaluation"][1], "module.logit_scale_a", write_clap,
        lambda folder: LaionClap.load("evaluation", folder, folder, architecture=SMALL_CLAP),
        inner="state_dict",
    ),
}  # fmt: skip
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name == "CLAP" else []) for name in READERS]


@functools.cache
def good_files(name: str, root: Path) -> Path:
    folder = root / hashlib.sha256(name.encode()).hexdigest()[:8]
    folder.mkdir()
    READERS[name].write(folder)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readers")


def copied(name: str, root: Path, folder: Path) -> Path:
    shutil.copytree(good_files(name, root), folder)
    return folder


def edit(reader: Reader, folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change the tensors of a weight file, all else left as it is."""
    path = folder / reader.file
    if path.suffix == ".safetensors":
        tensors = load_file(path)
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata()
        change(tensors)
        save_file(tensors, path, metadata)
        return
    content = torch.load(path, weights_only=False)  # it is our own
    change(content[reader.inner] if reader.inner else content)
    torch.save(content, path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def assert_refused(reader: Reader, folder: Path, said: str | None = None) -> None:
    before = contents(folder)
    with pytest.raises((CheckpointError, AssetError), match=said) as caught:
        reader.load(folder)
    assert reader.file in str(caught.value), "which file?"
    if reader.says_what_to_do:
        assert re.search(WHAT_TO_DO, str(caught.value)), f"what to do? {caught.value}"
    assert "weights_only" not in str(caught.value)
    assert contents(folder) == before


@pytest.mark.parametrize("name", NAMES)
def test_good_files_are_read(name: str, root: Path, tmp_path: Path) -> None:
    READERS[name].load(copied(name, root, tmp_path / "in"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:1]),
        lambda path: path.write_bytes(path.read_bytes()[:30]),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(b"<html>404</html>" * 99),
        lambda path: path.write_bytes(bytes(5000)),
    ],
    ids=["absent", "empty", "1 byte", "30 bytes", "half", "almost all", "a web page", "zeros"],
)
def test_damaged_files_are_refused(name: str, root: Path, tmp_path: Path, damage) -> None:
    folder = copied(name, root, tmp_path / "in")
    damage(folder / READERS[name].file)
    assert_refused(READERS[name], folder)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["inside", "zip", "legacy", "bare 2", "bare 4"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
def test_code_in_a_file_does_not_run(name: str, root: Path, tmp_path: Path, form: str) -> None:
    reader, ran = READERS[name], tmp_path / "ran"
    folder = copied(name, root, tmp_path / "in")
    path, code = folder / reader.file, {"weights": Code(ran)}
    if form.startswith("bare"):
        path.write_bytes(pickle.dumps(code, protocol=int(form[-1])))
    elif form == "inside" and path.suffix != ".safetensors":
        edit(reader, folder, lambda tensors: tensors.update(code))
    else:
        torch.save(code, path, _use_new_zipfile_serialization=form != "legacy")
    assert_refused(reader, folder)
    assert not ran.exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "problem", ["NaN", "infinity", "shape", "missing", "unknown", "number", "claimed size"]
)
def test_other_weights_are_refused(name: str, root: Path, tmp_path: Path, problem: str) -> None:
    reader = READERS[name]
    folder = copied(name, root, tmp_path / "in")
    key, pickled = reader.tensor, not reader.file.endswith(".safetensors")

    def change(tensors: dict[str, torch.Tensor]) -> None:
        value = tensors.pop(key)
        wrong = {
            "NaN": torch.full_like(value, torch.nan),
            "infinity": torch.full_like(value, -torch.inf),
            "shape": torch.stack([value, value]),
            "unknown": value,
            "number": 3.0 if pickled else value[None].clone(),
            "claimed size": torch.zeros(1).expand(10**7, 10**7) if pickled else value[None].clone(),
        }
        if problem != "missing":
            tensors[key] = wrong[problem]
        if problem == "unknown":
            tensors[f"{key}.more"] = value.clone()

    edit(reader, folder, change)
    named = reader.says_what_to_do or problem not in ("NaN", "infinity")
    assert_refused(reader, folder, key.removeprefix("module.") if named else None)


@pytest.mark.parametrize("problem", ["{", "[1]", '["a", "b", "c"]', "[-6, 15, 6]", "[6.0, 3, 6]"])
def test_a_head_with_other_feature_widths_is_refused(tmp_path: Path, problem: str) -> None:
    path = tmp_path / "head.safetensors"
    write_our_head(tmp_path)
    save_file(load_file(path), path, {"feature_widths": problem})
    with pytest.raises(CheckpointError, match=r"head\.safetensors.*feature widths"):
        load_head(path)


@pytest.mark.parametrize(
    "problem", ["{", "[]", '{"width": "x"}', '{"n_joint": -1}', '{"n_heads": 0}', '{"depth": 3}']
)
def test_a_backbone_with_another_configuration_is_refused(tmp_path: Path, problem: str) -> None:
    path = save_model(FluxAudio(SMALL_FLUX, generator()), tmp_path / "flux.safetensors")
    save_file(load_file(path), path, {"format": "attm-flux-audio-1", "config": problem})
    with pytest.raises(CheckpointError, match=r"no usable configuration .*train it again"):
        load_model(path)


# --- the commands ----------------------------------------------------------------------------


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ToyStudio:
    """Toys in the place of trained models; ``asked`` tells whether a command came so far."""
    monkeypatch.setenv("ATTM_CACHE", str(tmp_path / "cache"))
    studio = ToyStudio()
    studio.asked = []

    def trained(*asked: object) -> object:
        studio.asked.append(asked)
        return casting.Loaded(studio.backbone, studio.networks(), studio.reward, "toys")

    def reward(*asked: object) -> object:
        studio.asked.append(asked)
        return studio.reward

    monkeypatch.setattr(casting, "trained", trained)
    monkeypatch.setattr(casting, "trained_reward", reward)
    return studio


def one_line_error(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a command that must fail with exit code 1 and one readable line; return the line."""
    assert main([str(word) for word in words]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("attm: ")
    assert captured.err.count("\n") == 1, captured.err
    assert "Traceback" not in captured.err
    return captured.err


def existing(folder: Path) -> Path:
    """An output folder that holds something already."""
    folder.mkdir()
    (folder / "mine.txt").write_text("keep me")
    return folder


def assert_untouched(folder: Path) -> None:
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert (folder / "mine.txt").read_text() == "keep me"


def tone(path: Path, seconds: float = 1.5, n_channels: int = 1, rate: int = 8_000) -> Path:
    wave = 0.1 * np.sin(np.arange(round(seconds * rate)) / 20)
    soundfile.write(path, np.stack([wave] * n_channels, axis=1), rate)
    return path


def three_hours(path: Path, rate: int = 16_000) -> Path:
    """A whole header and no samples: the file claims three hours."""
    soundfile.write(path, np.zeros(1, dtype=np.int16), rate)
    n_bytes = 3 * 3600 * rate * 2
    content = bytearray(path.read_bytes()[:44])
    content[4:8] = (36 + n_bytes).to_bytes(4, "little")
    content[40:44] = n_bytes.to_bytes(4, "little")
    path.write_bytes(content)
    os.truncate(path, 44 + n_bytes)  # a hole: no disk is used
    return path


AUDIO: dict[str, tuple[str, Callable[[Path], object]]] = {
    "one.wav": ("1 s is the least", lambda path: soundfile.write(path, np.zeros(1), 8_000)),
    "nine.wav": ("nine.wav has 9 channels", lambda path: tone(path, n_channels=9)),
    "hours.wav": ("lasts 10800 s", three_hours),
    "slow.wav": ("lasts 10800 s", lambda path: three_hours(path, rate=1)),
    "zero.wav": ("no samples", lambda path: soundfile.write(path, np.zeros(0), 8_000)),
    "text.wav": ("cannot be read as audio", lambda path: path.write_text("no audio")),
    "empty.flac": ("cannot be read as audio", lambda path: path.write_bytes(b"")),
    "half.flac": (
        "cannot be read as audio",
        lambda path: path.write_bytes(tone(path).read_bytes()[:60]),
    ),
    "bare.raw": ("cannot be read as audio", lambda path: path.write_bytes(bytes(99))),
    "nan.wav": ("NaN", lambda path: soundfile.write(path, np.full(9_000, np.nan), 8_000, "FLOAT")),
    "folder.wav": ("cannot be read as audio", lambda path: path.mkdir()),
    "gone.wav": ("cannot be read as audio", lambda path: None),
}


@pytest.mark.parametrize("name", AUDIO)
def test_bad_audio_is_not_scored(studio, tmp_path: Path, capsys, name: str) -> None:
    said, make = AUDIO[name]
    make(tmp_path / name)
    good = tone(tmp_path / "good.wav")
    error = one_line_error(capsys, "score", good, tmp_path / name, "--profile", "smoke")
    assert said in error
    assert name in error
    assert studio.asked == [], "nothing is trained for a file that cannot be scored"


def test_eight_channels_are_scored_as_their_mean(studio, tmp_path: Path, capsys) -> None:
    path = tone(tmp_path / "eight.wav", n_channels=8)
    assert main(["score", str(path), "--profile", "smoke"]) == 0
    assert "eight.wav" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("shape", "said"),
    [((1, 1), "at least 0.4 s"), ((8, 8_000), "up to 5 channels"), ((1, 0), "no samples"),
     ((9, 8_000), "9 channels"), ((8_000,), "shape")],
)  # fmt: skip
def test_audio_without_a_loudness_is_refused(shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        normalize_loudness(torch.full(shape, 0.1), 8_000)


PROMPTS: dict[str, tuple[str, bytes]] = {
    "cut": ("is not valid JSON", b'{"a": "calm'),
    "empty": ("is not valid JSON", b""),
    "bytes": ("is not valid JSON", b"\xff\xfe\x00"),
    "deep": ("is not valid JSON", b"[" * 100_000 + b"]" * 100_000),
    "long number": ("is not valid JSON", b"[" + b"9" * 5_000 + b"]"),
    "half a character": ("is not valid JSON", b'["calm \\ud800"]'),
    "numbers": ("is no prompt list", b"[1, 2]"),
    "nested": ("is no prompt list", b'[["calm"]]'),
    "word": ("is no prompt list", b'"calm"'),
    "mixed": ("is no prompt list", b'["calm", {"prompt": "fast"}]'),
    "no prompt": ("0 prompts", b"[]"),
    "blank": ("a prompt is empty", b'["calm", "  "]'),
    "too long": ("5000 characters", b'["' + b"x" * 5_000 + b'"]'),
    "invisible": ("a prompt is empty", b'["calm", "\\u200b\\u2060"]'),
    "way out": ("'../up' is no usable prompt id", b'{"../up": "calm"}'),
    "two dots": ("'a..b' is no usable prompt id", b'{"a..b": "calm"}'),
    "last dot": ("'a.' is no usable prompt id", b'{"a.": "calm"}'),
    "twins": ("differ in case", b'{"a": "calm", "A": "calm"}'),
    "twice": (
        "'a' appears twice",
        b'[{"id": "a", "prompt": "x"}, {"id": "a", "prompt": "y"}]',
    ),
    "no text": ("has no text `prompt`", b'[{"id": "a", "prompt": 3}]'),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_a_bad_prompt_list_makes_no_submission(studio, tmp_path: Path, capsys, name: str) -> None:
    said, content = PROMPTS[name]
    (tmp_path / "prompts.json").write_bytes(content)
    out = existing(tmp_path / "out")
    words = ["--prompts", tmp_path / "prompts.json", "--out", out / "x.zip", "--profile", "smoke"]
    assert said in one_line_error(capsys, "submission", *words)
    assert_untouched(out)
    assert studio.asked == []


@pytest.mark.parametrize("name", ["gone.json", "list.txt", "folder.json"])
def test_a_prompt_list_that_is_no_file_makes_no_submission(
    studio, tmp_path: Path, capsys, name: str
) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "list.txt").write_text("calm")
    out = existing(tmp_path / "out")
    words = ["--prompts", tmp_path / name, "--out", out / "x.zip", "--profile", "smoke"]
    assert name in one_line_error(capsys, "submission", *words)
    assert_untouched(out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([""], "a prompt is empty"),
        (["x" * 2001], "2001 characters"),
        (["caf\udce9"], "is not UTF-8"),
        (["calm", "--prefix", "caf\udce9"], "is not UTF-8"),
        (["calm", "--prompt", "caf\udce9"], "is not UTF-8"),
        (["\u200b\u2060\u3164"], "a prompt is empty"),
        (["calm", "--negative", "\u200b"], "a prompt is empty"),
        (["calm", "--prefix", "x" * 2001], "prefix has over 2000"),
        (["calm", "--s", "inf"], "s must be from -1000 to 1000"),
        (["calm", "--s", "1e39"], "s must be from -1000 to 1000"),
        (["calm", "--w", "nan"], "w must be from 0 to 1000"),
        (["calm", "--w", "-1"], "w must be from 0 to 1000"),
        (["calm", "--steps", "-1"], "n_steps must be from 1 to 10000"),
        (["calm", "--steps", str(10**12)], "n_steps must be from 1 to 10000"),
        (["calm", "--seed", "-1"], "is not in 0 … 2^63"),
        (["calm", "--seed", "99999999999999999999"], "is not in 0 … 2^63"),
    ],
)
def test_a_bad_request_generates_nothing(studio, tmp_path: Path, capsys, words, said) -> None:
    out = existing(tmp_path / "out")
    assert said in one_line_error(capsys, "generate", *words, "--profile", "smoke", "--out", out)
    assert_untouched(out)
    assert studio.asked == []


def weights_that(problem: str, folder: Path, ran: Path) -> Path:
    """A score head with a problem."""
    path = folder / "head.pt"
    write_head(folder)
    reader = READERS["ranker, published"]
    if problem == "truncated":
        path.write_bytes(path.read_bytes()[:-300])
    elif problem == "code":
        edit(reader, folder, lambda tensors: tensors.update(weights=Code(ran)))
    elif problem == "NaN":
        edit(reader, folder, lambda tensors: tensors["net.4.bias"].fill_(torch.nan))
    else:
        edit(reader, folder, lambda tensors: tensors.update({"net.4.bias": torch.ones(5)}))
    return path


@pytest.mark.parametrize("problem", ["truncated", "code", "NaN", "shape"])
@pytest.mark.parametrize("command", ["generate", "score", "submission"])
def test_bad_weights_end_a_command(
    studio, monkeypatch, tmp_path: Path, capsys, command: str, problem: str
) -> None:
    path = weights_that(problem, tmp_path, tmp_path / "ran")
    monkeypatch.setattr(casting, "trained", lambda *_: load_head(path))
    monkeypatch.setattr(casting, "trained_reward", lambda *_: load_head(path))
    out = existing(tmp_path / "out")
    (tmp_path / "prompts.json").write_text('["calm"]')
    words = {
        "generate": ["calm", "--out", out],
        "score": [tone(tmp_path / "good.wav")],
        "submission": ["--prompts", tmp_path / "prompts.json", "--out", out / "x.zip"],
    }
    error = one_line_error(capsys, command, *words[command], "--profile", "smoke")
    assert "head.pt" in error
    assert re.search(WHAT_TO_DO, error)
    assert_untouched(out)
    assert not (tmp_path / "ran").exists()


def manifest(folder: Path, text: str) -> Path:
    path = folder / "manifest.yaml"
    path.write_text(text)
    return path


ASSET = """thing:
  role: a test
  licence: MIT
  homepage: https://example.org
  files:
    - path: {path}
      url: {url}
      size: 3
"""
GOOD = {"path": "a.bin", "url": "https://example.org/a.bin"}


@pytest.mark.parametrize("action", ["list", "verify", "fetch"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ASSET.format(**GOOD | {"path": "../a.bin"}), "would leave its folder"),
        (ASSET.format(**GOOD | {"path": "b/../../a.bin"}), "would leave its folder"),
        (ASSET.format(**GOOD | {"path": "/etc/a.bin"}), "would leave its folder"),
        (ASSET.format(**GOOD | {"url": "file:///etc/passwd"}), "is not an https address"),
        (ASSET.format(**GOOD) + "  surprise: 1\n", "is malformed"),
        ("[1, 2]", "is malformed"),
        ("thing: 3", "is malformed"),
        ("", "is malformed"),
        ("!!python/object/apply:os.mkdir [ran]", "is malformed"),
    ],
)
def test_a_bad_manifest_is_not_followed(
    monkeypatch, tmp_path: Path, capsys, action: str, text: str, said: str
) -> None:
    read = functools.partial(assets.load_manifest, manifest(tmp_path, text))
    monkeypatch.setattr(assets, "load_manifest", read)
    monkeypatch.setattr(assets_cli, "load_manifest", read)
    monkeypatch.chdir(tmp_path)
    out = existing(tmp_path / "out")
    words = [] if action == "list" else ["thing", "--to", out]
    assert main(["assets", action, *map(str, words)]) == 1
    assert said in capsys.readouterr().err
    assert_untouched(out)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "state"), [(None, "absent"), (b"ab", "wrong size"), (b"abcd", "wrong size")]
)
def test_a_damaged_asset_is_not_verified(
    monkeypatch, tmp_path: Path, capsys, content: bytes | None, state: str
) -> None:
    read = functools.partial(assets.load_manifest, manifest(tmp_path, ASSET.format(**GOOD)))
    monkeypatch.setattr(assets, "load_manifest", read)
    if content is not None:
        (tmp_path / "a.bin").write_bytes(content)
    before = contents(tmp_path)
    assert main(["assets", "verify", "thing", "--to", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert f"thing/a.bin: {state}" in captured.out
    assert captured.err.startswith("attm: 1 file(s) are absent or wrong: run `attm assets fetch")
    assert contents(tmp_path) == before


def test_an_unknown_asset_lists_the_known(capsys) -> None:
    error = one_line_error(capsys, "assets", "verify", "../vae")
    assert "no asset '../vae'; there are:" in error
