"""Bad input ends in an error of ours that helps, with nothing half-written: readers and commands.

Every reader of weight files meets the same damage; every command that takes files or words meets
what a user, a broken transfer or an attacker could hand it.
"""

import functools
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
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
from vae_weights import TINY, formula_state
from vocoder_settings import TINY_BIGVGAN

from attm_companion import assets
from attm_companion.assets import load_manifest
from attm_companion.commands import assets_cli, casting
from attm_companion.commands.cli import main
from attm_companion.commands.prompt_lists import MAX_PROMPTS
from attm_companion.study import profile
from attm_companion.study.condition_scores import Scores
from attm_companion.study.results import COLUMNS
from attm_companion.world.config import MiniCodecConfig, MiniDemucsConfig
from attm_companion.world.mini_codec import MiniCodec
from attm_companion.world.mini_separator import (
    build_mini_demucs,
    load_mini_demucs,
    save_mini_demucs,
)
from attm_core.backbone.checkpoint import (
    load_model,
    load_reference_state_dict,
    save_model,
)
from attm_core.backbone.config import FluxAudioConfig
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.codec.bigvgan_vocoder import _make_bigvgan, load_bigvgan
from attm_core.codec.mmaudio_vae import MMAudioVAE, load_mmaudio_vae
from attm_core.configuration import ClapArchitecture
from attm_core.encoders.flan_t5 import FlanT5
from attm_core.encoders.laion_clap import _CHECKPOINTS, LaionClap, build_network
from attm_core.encoders.mert import Mert
from attm_core.errors import AssetError, CheckpointError, InputError
from attm_core.generation import separation
from attm_core.generation.loudness import normalize_loudness
from attm_core.ranker.tunejury import TuneJuryHead, load_head, save_head

SMALL_FLUX = FluxAudioConfig(width=16, n_heads=2, ffn_multiple=32, score_head="global_adaln")
SMALL_CLAP = ClapArchitecture("HTSAT-tiny", 4 + 256 + 2, n_layers=1)
ROOT = Path(__file__).resolve().parents[3]
SMOKE = (Path(profile.__file__).parent / "profiles" / "smoke.yaml").read_text()
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
    is False for files of our own whose message names no remedy.
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
        patch.setattr(separation, "_mdx_extra_bag", lambda: ([name], 4.0))
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
    torch.save(clap_checkpoint(network), folder / _CHECKPOINTS["evaluation"][1])


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
        lambda folder: _make_bigvgan(TINY_BIGVGAN)._save_pretrained(folder),
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
        _CHECKPOINTS["evaluation"][1], "module.logit_scale_a", write_clap,
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
    "problem",
    ["NaN", "infinity", "complex", "int64", "shape", "number", "claimed size", "missing", "more"],
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
            "more": value,
            "complex": value + 0j,
            "int64": value.long(),
            "number": 3.0 if pickled else value[None].clone(),
            "claimed size": torch.zeros(1).expand(10**7, 10**7) if pickled else value[None].clone(),
        }
        if problem != "missing":
            tensors[key] = wrong[problem]
        if problem == "more":
            tensors[f"{key}.more"] = value.clone()

    edit(reader, folder, change)
    named = reader.says_what_to_do or problem not in ("NaN", "infinity")
    assert_refused(reader, folder, key.removeprefix("module.") if named else None)


# Metadata of our own files that no file of ours has.
STATED = {
    "feature_widths": ["{", "[1]", '["a", "b", "c"]', "[-6, 15, 6]", "[6.0, 3, 6]"],
    "config": ["{", "[]", '{"width": "x"}', '{"n_joint": -1}', '{"n_heads": 0}', '{"depth": 3}',
               "[" * 100_000, *(f'{{"{name}": 1{"0" * 12}}}' for name in
                                ("width", "n_joint", "n_fused", "n_latents", "ffn_multiple"))],
}  # fmt: skip


@pytest.mark.parametrize(("key", "stated"), [(k, v) for k, many in STATED.items() for v in many])
def test_metadata_that_cannot_be_are_refused(tmp_path: Path, key: str, stated: str) -> None:
    kind = "backbone, ours" if key == "config" else "ranker, ours"
    READERS[kind].write(tmp_path)
    path = tmp_path / READERS[kind].file
    said = {"format": "attm-flux-audio-1", key: stated} if key == "config" else {key: stated}
    save_file(load_file(path), path, said)
    with pytest.raises(CheckpointError, match=r"no usable configuration.*train it|feature widths"):
        READERS[kind].load(tmp_path)


# --- the commands: a line of words, what they say, and the files that they name ----------------


def tone(path: Path, seconds: float = 1.5, n_channels: int = 1, rate: int = 8_000) -> None:
    wave = 0.1 * np.sin(np.arange(round(seconds * rate)) / 20)
    soundfile.write(path, np.stack([wave] * n_channels, axis=1), rate)


def three_hours(path: Path, rate: int = 16_000) -> None:
    """A whole header and no samples: the file claims three hours."""
    soundfile.write(path, np.zeros(1, dtype=np.int16), rate)
    n_bytes = 3 * 3600 * rate * 2
    content = bytearray(path.read_bytes()[:44])
    content[4:8] = (36 + n_bytes).to_bytes(4, "little")
    content[40:44] = n_bytes.to_bytes(4, "little")
    path.write_bytes(content)
    os.truncate(path, 44 + n_bytes)  # a hole: no disk is used


def samples(values: list[float]) -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, np.array(values), 8_000, "FLOAT")


Content = bytes | str | Callable[[Path], object] | None
UNREADABLE = "cannot be read as audio"
AUDIO: dict[str, tuple[str, Content]] = {
    "one.wav": ("1 s is the least", samples([0.0])),
    "short.wav": ("1 s is the least", lambda path: tone(path, 0.9)),
    "long.wav": ("more than the 120 s", lambda path: tone(path, 121.0, rate=4_000)),
    "corrupt.wav": (UNREADABLE, b"RIFF????WAVE"),
    "nine.wav": ("nine.wav has 9 channels", lambda path: tone(path, n_channels=9)),
    "hours.wav": ("lasts 10800 s", three_hours),
    "slow.wav": ("lasts 10800 s", lambda path: three_hours(path, rate=1)),
    "zero.wav": ("no samples", samples([])),
    "text.wav": (UNREADABLE, b"no audio"),
    "empty.flac": (UNREADABLE, b""),
    "half.flac": (UNREADABLE, lambda path: (tone(path), os.truncate(path, 60))),
    "bare.raw": (UNREADABLE, bytes(99)),
    "nan.wav": ("NaN", samples([np.nan] * 9_000)),
    "inf.wav": ("NaN", samples([np.inf] * 9_000)),
    "folder.wav": (UNREADABLE, Path.mkdir),
    "gone.wav": (UNREADABLE, None),
    "caf\udce9.wav": ("is not UTF-8", None),
}
NO_JSON, NO_LIST = "is not valid JSON", "is no prompt list"
PROMPTS: dict[str, tuple[str, Content]] = {
    "cut.json": (NO_JSON, b'{"a": "calm'),
    "empty.json": (NO_JSON, b""),
    "bytes.json": (NO_JSON, b"\xff\xfe\x00"),
    "deep.json": (NO_JSON, b"[" * 100_000 + b"]" * 100_000),
    "digits.json": (NO_JSON, b"[" + b"9" * 5_000 + b"]"),
    "half.json": (NO_JSON, b'["calm \\ud800"]'),
    "numbers.json": (NO_LIST, b"[1, 2]"),
    "nested.json": (NO_LIST, b'[["calm"]]'),
    "word.json": (NO_LIST, b'"calm"'),
    "mixed.json": (NO_LIST, b'["calm", {"prompt": "fast"}]'),
    "none.json": ("0 prompts", b"[]"),
    "blank.json": ("a prompt is empty", b'["calm", "  "]'),
    "invisible.json": ("a prompt is empty", '["\u200b\ufeff\u00ad"]'),
    "control.json": ("a prompt is empty", b'["\\u0000\\u0007"]'),
    "long.json": ("5000 characters", b'["' + b"x" * 5_000 + b'"]'),
    "up.json": ("'../up' is no usable", b'{"../up": "calm"}'),
    "dots.json": ("'a..b' is no usable", b'{"a..b": "calm"}'),
    "dot.json": ("'a.' is no usable", b'{"a.": "calm"}'),
    "case.json": ("differ in case only", b'{"a": "calm", "A": "fast"}'),
    "twice.json": ("'a' appears twice", json.dumps([{"id": "a", "prompt": "x"}] * 2)),
    "many.json": ("holds 10001 prompts", json.dumps(["x"] * (MAX_PROMPTS + 1))),
    "number.json": (NO_LIST, b"3"),
    "values.json": (NO_LIST, b'{"a": 2}'),
    "anonymous.json": ("'' is no usable", b'{"": "calm"}'),
    "text.json": ("entry 1 has no text `prompt`", b'[{"id": "a", "prompt": 3}]'),
    "only.json": ("entry 1 has no text `prompt`", b'[{"id": "a"}]'),
    "null.json": ("entry 1 has no text `prompt`", b'[{"id": null, "prompt": "calm"}]'),
    "gone.json": ("does not exist", None),
    "list.txt": ("neither .json nor .csv", b"calm"),
    "folder.json": ("folder.json", Path.mkdir),
    "bytes.csv": ("cannot be read as CSV", b"prompt\n\xff\xfe"),
    "columns.csv": ("entry 1 has no text `prompt`", b"text\ncalm\n"),
    "torn.csv": ("entry 1 has no text `prompt`", b"id,prompt\na\n"),
    "empty.csv": ("0 prompts", b""),
    "gone.csv": ("gone.csv", None),
    "caf\udce9.json": ("is not UTF-8", None),
}
GENERATE: dict[str, tuple[str, ...]] = {
    "a prompt is empty": ("", " ", "\u200b", "\ufeff", "\x07"),
    "2001 characters": ("x" * 2001,),
    "is not UTF-8": ("caf\udce9", "calm --prefix caf\udce9", "calm --prompt caf\udce9",
                     "calm --negative caf\udce9", "calm --out caf\udce9"),
    "is a file": ("calm --out good.wav",),
    "": ("calm --s inf", "calm --s nan", "calm --s 1e39", "calm --s -1e308", "calm --w nan",
         "calm --w 1e39", "calm --w -4", "calm --steps -1", "calm --steps 0", "calm --seed -1",
         "calm --steps 1000000000000", f"calm --steps 1{'0' * 30}", f"calm --seed 1{'0' * 20}",
         f"calm --prefix {'x' * 100_000}", "calm --s one", "calm --steps 2.5", "calm --head v6",
         "calm --stage dpo", "calm --profile huge", "calm --profile ..", "calm --weights gone.pth",
         "calm --weights x --random-weights"),
}  # fmt: skip
STUDY = (
    "--jobs -1", "--jobs 0", "--jobs 100000", "--jobs two", "--only", "--only table9", "--seed -1",
    "--seed one", f"--seed 1{'0' * 30}", "--profile huge", "--profile .", "--profile /etc/passwd",
    "--profile gone.yaml", "--profile ../smoke", "--set crpo", "--set crpo.beta", "--set x.y=1",
    "--set crpo.beta=many", "--set crpo.beta=nan", "--set crpo.beta=-1", "--set name=../evil",
    "--set sft.n_steps=-5", "--set sft.n_steps=0", "--set sft.batch_size=0", "--set sft.lr=-1",
    "--set sft.lr=.inf", "--set sft.lr=.nan", "--set sft.save_every=0", "--set seed=-1",
    "--set backbone.n_heads=0", "--set backbone.head_width=0", "--set backbone.n_joint_blocks=-1",
    "--set backbone.score_bandwidth=0", "--set generation.seeds=[]", "--set generation.n_steps=0",
    "--set generation.n_prompts=-3", "--set generation.batch_size=0", "--set generation.s=.nan",
    "--set expert.n_keep=25", "--set expert.n_samples=0", "--set expert.oversample=-1",
    "--set expert.s=.inf", "--set crpo.n_prompts=0", "--set crpo.n_per_prompt=1",
    "--set crpo.training.lr=0", "--set cast.ranker.reward_std=0", "--set cast.ranker.hidden=[]",
    "--set cast.corpus.n_train=0", "--set cast.corpus.n_pieces=-1", "--set cast.text_tokens=0",
    "--set cast.clap.fit.steps=-1", "--set cast.mert.fit.batch_size=0", "--set sweep.scores=[]",
    "--set cast.separator_training.n_steps=-1", "--set cast.bleed_db=.nan",
)  # fmt: skip
BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n"
                                  for a, b in zip("abcdefgh", "bcdefghi", strict=True))  # fmt: skip
PROFILES: dict[str, str | bytes] = {
    "empty": "", "list": "[1]", "word": "smoke", "bytes": b"\xff\xfe", "zeros": bytes(99),
    "brackets": "[" * 20_000, "deep": "".join(" " * n + "a:\n" for n in range(1_500)),
    "digits": f"seed: {'9' * 6_000}", "date": "seed: 2026-13-45", "bomb": BOMB,
    "int": "seed: !!int abc", "float": "seed: !!float abc", "bool": "seed: !!bool abc",
    "timestamp": "seed: !!timestamp abc", "tag": "seed: !!python/object/apply:os.mkdir [ran]",
    "open": "seed: {", "tab": "seed:\n\t1", "colon": "a: b: c", "large": "a" * 3_000_000,
    "anchor": "seed: *nobody", "key": "? [a]\n: 1", "two": "seed: 1\n---\nseed: 2",
}  # fmt: skip
NAMES_OF_PROFILES = (
    "../../evil", "/tmp/evil", "", ".", "..", "a/b", "a\\b", "x" * 300, "<b>x</b>", "mini", "Mini",
    "a b", "-a", "a\0b", "nul\n", "café",
)  # fmt: skip
ASSET = """thing: {{role: a test, licence: MIT, homepage: https://example.org,
  files: [{{path: {path},
  url: {url}, size: {size}}}]{more}}}"""
GOOD = {"path": "a.bin", "url": "https://example.org/a.bin", "size": 3, "more": ""}
MANIFESTS = (
    *(ASSET.format(**GOOD | {"path": path}) for path in
      ("../a.bin", "b/../../a.bin", "/etc/a.bin", "~/a", "c:/a", "''")),
    *(ASSET.format(**GOOD | {"url": url}) for url in
      ("file:///etc/passwd", "http://example.org/a", "ftp://example.org/a", "https://", "a")),
    *(ASSET.format(**GOOD | {"size": size}) for size in ("-1", "many")),
    ASSET.format(**GOOD | {"more": ", surprise: 1"}), "[1, 2]", "thing: 3", "", "thing: {", BOMB,
    "!!python/object/apply:os.mkdir [ran]", "'../thing'" + ASSET.format(**GOOD)[5:],
)  # fmt: skip


AUDIT = json.loads((ROOT / "results" / "released_audit.json").read_text())


def every_leaf(node: object, value: object) -> object:
    if isinstance(node, dict):
        return {name: every_leaf(child, value) for name, child in node.items()}
    return value


AUDITS = (
    "", "{", "[]", "{}", "3", "[" * 100_000, json.dumps({**AUDIT, "clips": 3}),
    json.dumps({**AUDIT, "scores": []}), *(json.dumps(every_leaf(AUDIT, value)) for value in
                                           ("many", None, [], {}, [["x"]], True)),
)  # fmt: skip
TABLE = ",".join(COLUMNS) + "\n" + ",".join({"row": "a", "metric": "fad", "value": "{}"}.get(
    name, "") for name in COLUMNS) + "\n"  # fmt: skip
TABLES = ("", "a,b\n1,2\n", TABLE.format("many"), TABLE.format(""), TABLE.format("1,2,3"),
          TABLE.format("1")[:-4], b"\xff\xfe", bytes(99))  # fmt: skip
ORIGINS = ("", "[]", "3", "{", "[" * 100_000, None)
EXPECTATIONS = ("", "{", "[]", "{}", '{"one": 3}', '{"one": {}}', '{"one": {"verdicts": 3}}',
                '{"one": {"verdicts": {}, "files": []}}', None)  # fmt: skip


def commands() -> Iterator[tuple[list[str], str, dict[str, Content]]]:
    """Words, what they say, and the files that they name."""
    for name, (said, content) in AUDIO.items():
        yield ["score", "good.wav", name, "--profile", "smoke"], said, {name: content}
    for name, (said, content) in PROMPTS.items():
        words = ["submission", "--prompts", name, "--out", "out/x.zip", "--profile", "smoke"]
        yield words, said, {name: content}
    for out, said in (("good.wav/x.zip", "is a file"), ("x.tar", "name of a .zip"), ("out", "zip")):
        yield ["submission", "--out", out, "--profile", "smoke"], said, {}
    for said, many in GENERATE.items():
        for line in many:
            first, *others = line.split(" ") if "--" in line else [line]
            given = ["--out", "out", "--profile", "smoke", *others]
            yield ["generate", *([] if not first and others else [first]), *given], said, {}
    for line in STUDY:
        words = line.split(" ") if line != "--only" else ["--only", ""]
        yield ["study", "--dry-run", "--profile", "smoke", *words], "", {}
    for content in PROFILES.values():
        yield ["study", "--dry-run", "--profile", "my.yaml"], "", {"my.yaml": content}
        yield ["doctor", "--profile", "my.yaml"], "", {"my.yaml": content}
    for name in NAMES_OF_PROFILES:
        text = SMOKE.replace("name: smoke", f"name: {json.dumps(name)}")
        yield ["study", "--dry-run", "--profile", "my.yaml"], "name", {"my.yaml": text}
    repeated = SMOKE + "seed: 43\n"
    yield ["study", "--dry-run", "--profile", "my.yaml"], "twice", {"my.yaml": repeated}
    for text in AUDITS:
        yield ["claims", "--results", "."], "audit", {"released_audit.json": text}
    table, origin = "results/one/toy.csv", "results/one/toy.json"
    for content in TABLES:
        yield ["compare", "one", "one"], "toy.csv", {table: content, origin: "{}"}
    for text in ORIGINS:
        yield ["compare", "one", "one"], "toy", {table: TABLE.format(1), origin: text}
    for text in EXPECTATIONS:
        files = {table: TABLE.format(1), origin: '{"date": "x"}', "results/expected.json": text}
        yield ["compare", "one"], "expected.json", files
    yield ["compare", "gone"], "gone", {}
    yield ["seeds", "--profile", "smoke", "--jobs", "0"], "jobs", {}
    yield ["seeds", "--profile", "smoke", "--seeds", "-1"], "seed value", {}
    yield ["seeds", "--profile", "huge"], "huge", {}
    yield ["assets", "verify", "../vae"], "no asset '../vae'; there are:", {}
    yield ["assets", "fetch", ""], "no asset ''", {}
    yield ["claims", "--released", "gone"], "gone", {}
    yield ["notebooks", "--only", "gone"], "gone", {}
    yield ["notebooks", "--jobs", "0"], "worker_count value: '0'", {}
    yield ["notebooks", "--only", "head-sweep", "-p", "sede", "7"], "sede", {}
    yield ["nothing"], "invalid choice", {}


CASES = list(commands())
LABELS = [f"{number} {' '.join(words)[:60]!a}" for number, (words, _, _) in enumerate(CASES)]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder to stand in, with an output folder that holds something, and no trained model."""

    def trained(*_: object) -> None:
        raise AssertionError("a model was asked for")

    monkeypatch.setattr(casting, "trained", trained)
    monkeypatch.setattr(casting, "trained_reward", trained)
    monkeypatch.setattr(casting, "ensure", trained)
    monkeypatch.setenv("ATTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ATTM_RESULTS", str(tmp_path / "results"))
    monkeypatch.delenv("ATTM_RELEASED_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    tone(tmp_path / "good.wav")
    return tmp_path


def lay(folder: Path, files: dict[str, Content]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(folder / name)
        elif content is not None:
            raw = content.encode(errors="surrogateescape") if isinstance(content, str) else content
            (folder / name).write_bytes(raw)


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that must end with 1, or 2 for usage, and one readable line."""
    try:
        code = main(words)
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    lines = said.err.splitlines() if words[0] != "doctor" else said.out.splitlines()
    assert code in (1, 2), f"accepted: {said.out[-300:]}"
    if words[0] != "doctor" and code == 1:
        assert said.out == ""
        assert len(lines) == 1 and lines[0].startswith("attm: ") and len(lines[0]) < 2_000
    assert "Traceback" not in said.err + said.out
    return said.err + said.out


@pytest.mark.parametrize(("words", "said", "files"), CASES, ids=LABELS)
def test_a_command_refuses_in_one_line(place, capsys, words, said, files) -> None:
    lay(place, files)
    before = sorted(place.rglob("*"))
    assert said in refusal(words, capsys)
    assert (place / "out" / "mine.txt").read_text() == "keep me"
    assert sorted(place.rglob("*")) == before, "something was made"


@pytest.mark.parametrize("action", ["list", "verify", "fetch"])
@pytest.mark.parametrize("text", MANIFESTS)
def test_a_bad_manifest_is_not_followed(monkeypatch, place, capsys, action, text) -> None:
    (place / "manifest.yaml").write_text(text)
    read = functools.partial(load_manifest, place / "manifest.yaml")
    monkeypatch.setattr(assets, "load_manifest", read)
    monkeypatch.setattr(assets_cli, "load_manifest", read)
    words = ["assets", action, *(["thing", "--to", "out"] if action != "list" else [])]
    refusal(words, capsys)
    assert [path.name for path in (place / "out").iterdir()] == ["mine.txt"]
    assert not (place / "ran").exists()


@pytest.mark.parametrize("content", [None, b"ab", b"abcd", Path.mkdir])
def test_a_damaged_asset_is_not_verified(monkeypatch, place, capsys, content: Content) -> None:
    (place / "manifest.yaml").write_text(ASSET.format(**GOOD))
    read = functools.partial(load_manifest, place / "manifest.yaml")
    monkeypatch.setattr(assets, "load_manifest", read)
    lay(place, {"a.bin": content})
    assert main(["assets", "verify", "thing", "--to", "."]) == 1
    captured = capsys.readouterr()
    assert re.search(r"thing/a\.bin: (absent|wrong size)", captured.out)
    assert captured.err.startswith("attm: 1 file(s) are absent or wrong: run `attm assets fetch")


@pytest.mark.parametrize("problem", ["truncated", "code", "NaN", "shape"])
@pytest.mark.parametrize("command", ["generate", "score", "submission"])
def test_bad_weights_end_a_command(monkeypatch, place, capsys, command: str, problem: str) -> None:
    reader, path = READERS["ranker, published"], place / "head.pt"
    reader.write(place)
    changes: dict[str, Callable[[dict[str, object]], object]] = {
        "code": lambda tensors: tensors.update(weights=Code(place / "ran")),
        "NaN": lambda tensors: tensors["net.4.bias"].fill_(torch.nan),
        "shape": lambda tensors: tensors.update({"net.4.bias": torch.ones(5)}),
    }
    if problem in changes:
        edit(reader, place, changes[problem])
    else:
        os.truncate(path, path.stat().st_size - 300)
    monkeypatch.setattr(casting, "trained", lambda *_: load_head(path))
    monkeypatch.setattr(casting, "trained_reward", lambda *_: load_head(path))
    (place / "p.json").write_text('["calm"]')
    words = {
        "generate": ["calm", "--out", "out"],
        "score": ["good.wav"],
        "submission": ["--prompts", "p.json", "--out", "out/x.zip"],
    }
    said = refusal([command, *words[command], "--profile", "smoke"], capsys)
    assert "head.pt" in said and re.search(WHAT_TO_DO, said)
    assert [path.name for path in (place / "out").iterdir()] == ["mine.txt"]
    assert not (place / "ran").exists()


def claimed(path: Path) -> None:
    """An array whose header claims 80 TB."""
    raw = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        raw, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clap.npy", raw.getvalue())


SCORES = {"clap": np.zeros(3), "reward": np.zeros(3), "embeddings": np.zeros((3, 2)),
          "vocals_db": np.full(3, np.nan)}  # fmt: skip
BAD_SCORES: dict[str, dict[str, np.ndarray]] = {
    "NaN": {"clap": np.array([0, np.nan, 0])},
    "infinity": {"reward": np.full(3, np.inf)},
    "NaN embedding": {"embeddings": np.full((3, 2), np.nan)},
    "another length": {"reward": np.zeros(2)},
    "fewer clips": {"embeddings": np.zeros((2, 2))},
    "a column": {"clap": np.zeros((3, 1))},
    "a number": {"ccs": np.zeros(())},
    "no embedding": {"embeddings": np.zeros(3)},
    "nobody": {name: values[:0] for name, values in SCORES.items()},
    "text": {"clap": np.array(["a", "b", "c"])},
    "integers": {"clap": np.zeros(3, dtype=int)},
    "complex": {"reward": np.zeros(3, dtype=complex)},
    "unknown": {"more": np.zeros(3)},
    "code": {"clap": np.array([Code(Path("ran"))] * 3)},
}


@pytest.mark.parametrize("problem", [*BAD_SCORES, "missing", "claimed size"])
def test_scores_that_cannot_be_are_refused(place, problem: str) -> None:
    if problem == "claimed size":
        claimed(place / "scores.npz")
    else:
        given = {**SCORES, **BAD_SCORES.get(problem, {})}
        given.pop("clap" if problem == "missing" else "", None)
        np.savez(place / "scores.npz", **given)
    with pytest.raises(InputError, match=r"scores\.npz holds no scores"):
        Scores.load(place / "scores.npz")
    assert not (place / "ran").exists()


@pytest.mark.parametrize(
    ("shape", "said"),
    [((1, 1), "at least 0.4 s"), ((8, 8_000), "up to 5 channels"), ((1, 0), "no samples"),
     ((9, 8_000), "9 channels"), ((8_000,), "shape")],
)  # fmt: skip
def test_audio_without_a_loudness_is_refused(shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        normalize_loudness(torch.full(shape, 0.1), 8_000)


def test_there_are_three_hundred_cases_and_more() -> None:
    per_reader = 8 + 5 + 9
    assert len(READERS) * per_reader + len(CASES) + 3 * len(MANIFESTS) >= 500
