"""Bad input ends in an error of ours that helps, with nothing half-written: readers and commands.

Every reader of weight files meets the same damage; every command that takes files or words meets
what a user, a broken transfer or an attacker could hand it.
"""

import functools
import io
import json
import os
import pickle
import re
import shutil
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import published_files as published
import pytest
import soundfile
import torch
from extraction_toys import hours_of_silence
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from training_toys import tiny_model
from vae_weights import TINY, TINY_BIGVGAN, formula_state

from attm_companion import assets
from attm_companion.assets import load_manifest
from attm_companion.commands import assets_cli, casting
from attm_companion.commands.cli import main
from attm_companion.commands.prompt_lists import MAX_PROMPTS
from attm_companion.study import profile
from attm_companion.study.condition_scores import Scores
from attm_companion.study.results import COLUMNS
from attm_companion.world import mini_separator
from attm_companion.world.config import MiniCodecConfig, MiniDemucsConfig
from attm_companion.world.mini_codec import MiniCodec
from attm_core.backbone import checkpoint
from attm_core.codec.bigvgan_vocoder import _make_bigvgan, load_bigvgan
from attm_core.codec.mmaudio_vae import MMAudioVAE, load_mmaudio_vae
from attm_core.encoders.flan_t5 import FlanT5
from attm_core.encoders.laion_clap import _CHECKPOINTS, LaionClap, build_network
from attm_core.encoders.mert import Mert
from attm_core.errors import AssetError, CheckpointError, InputError
from attm_core.generation import separation
from attm_core.ranker.tunejury import TuneJuryHead, load_head, save_head
from attm_core.weights import load_module, save_module

SMALL_DEMUCS, SMALL_CODEC = MiniDemucsConfig(), MiniCodecConfig(widths=(8, 8), blocks=1)
ROOT = Path(__file__).resolve().parents[3]
SMOKE = (Path(profile.__file__).parent / "profiles" / "smoke.yaml").read_text()
WHAT_TO_DO = r"again|[Ff]etch|[Tt]rain|get the weights"


class Reader(NamedTuple):
    """One public reader of weights; whether the message of a bad file says what to do."""

    file: str
    tensor: str  # a name in it
    write: Callable[[Path], object]
    load: Callable[[Path], object]
    inner: str = ""  # where a pickle keeps the tensors
    says_what_to_do: bool = True


def load_demucs(path: Path) -> object:
    """Whatever its hash, which the name of a published file ends with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(separation, "_mdx_extra_bag", lambda: ([path.name], 4.0))
        patch.setattr(separation, "sha256_file", lambda path: path.stem)
        return separation.load_mdx_extra(path.parent)


def write_clap(path: Path) -> None:
    published.write_roberta_tokenizer(path.parent)
    torch.save(
        published.clap_checkpoint(published.redraw(build_network(published.SMALL_CLAP), "clap")),
        path,
    )


def head(*widths: int, text_width: int) -> TuneJuryHead:
    return TuneJuryHead(*widths, [8, 4], text_width=text_width)


READERS = {
    "backbone, published": Reader(
        "flux.pth", "final_layer.conv.bias",
        lambda path: torch.save(tiny_model().state_dict(), path),
        lambda path: checkpoint.load_reference_state_dict(path, tiny_model().config),
    ),
    "backbone, ours": Reader(
        "flux.safetensors", "final_layer.conv.bias",
        lambda path: checkpoint.save_model(tiny_model(), path), checkpoint.load_model,
    ),
    "mel VAE": Reader(
        "v1-44.pth", "decoder.conv_in.weight",
        lambda path: torch.save(formula_state(MMAudioVAE(TINY).state_dict()), path),
        lambda path: load_mmaudio_vae(path, TINY),
    ),
    "vocoder": Reader(
        "bigvgan_generator.pt", "conv_pre.bias",
        lambda path: _make_bigvgan(TINY_BIGVGAN)._save_pretrained(path.parent),
        lambda path: load_bigvgan(path.parent), "generator",
    ),
    "ranker, published": Reader(
        "head.pt", "net.4.bias",
        lambda path: torch.save({"state_dict": head(512, 0, text_width=0).state_dict()}, path),
        load_head, "state_dict",
    ),
    "ranker, ours": Reader(
        "head.safetensors", "net.4.bias", lambda path: save_head(head(6, 3, text_width=6), path),
        load_head,
    ),
    "separator, published": Reader(
        "model.th", "encoder.0.0.weight", published.write_demucs, load_demucs, "state"
    ),
    "separator, ours": Reader(
        "d.safetensors", "encoder.0.0.weight",
        lambda path: mini_separator.save_mini_demucs(
            mini_separator.build_mini_demucs(SMALL_DEMUCS, torch.Generator()), SMALL_DEMUCS, path
        ),
        mini_separator.load_mini_demucs, says_what_to_do=False,
    ),
    "codec, ours": Reader(
        "codec.safetensors", "band_mean",
        lambda path: save_module(path, MiniCodec(SMALL_CODEC), SMALL_CODEC),
        lambda path: load_module(path, MiniCodecConfig, MiniCodec), says_what_to_do=False,
    ),
    "FLAN-T5": Reader(
        "model.safetensors", "encoder.final_layer_norm.weight",
        lambda path: published.write_flan_t5(path.parent), lambda path: FlanT5.load(path.parent),
    ),
    "MERT": Reader(
        "pytorch_model.bin", "encoder.layer_norm.weight",
        lambda path: published.write_mert(path.parent), lambda path: Mert.load(path.parent),
    ),
    "CLAP": Reader(
        _CHECKPOINTS["evaluation"][1], "module.logit_scale_a", write_clap,
        lambda path: LaionClap.load(
            "evaluation", *[path.parent] * 2, architecture=published.SMALL_CLAP
        ), "state_dict",
    ),
}  # fmt: skip
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name == "CLAP" else []) for name in READERS]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The good files of a reader, written once."""

    @functools.cache
    def write(name: str) -> Path:
        folder = tmp_path_factory.mktemp("reader")
        READERS[name].write(folder / READERS[name].file)
        return folder

    return write


@pytest.fixture
def folder(name: str, written: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of them to damage."""
    return shutil.copytree(written(name), tmp_path / "in")


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


def assert_refused(reader: Reader, folder: Path, said: str | None = None) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    before = [path.read_bytes() for path in files]
    with pytest.raises((CheckpointError, AssetError), match=said) as caught:
        reader.load(folder / reader.file)
    message = str(caught.value)
    assert reader.file in message, "which file?"
    assert re.search(WHAT_TO_DO, message) or not reader.says_what_to_do, f"what to do? {message}"
    assert "weights_only" not in message
    assert files == sorted(path for path in folder.rglob("*") if path.is_file())
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize("name", NAMES)
def test_good_files_are_read_without_network_word_or_draw(name, folder, monkeypatch, capsys):
    capsys.readouterr()
    monkeypatch.setattr(socket.socket, "connect", None)
    before = torch.random.get_rng_state()
    READERS[name].load(folder / READERS[name].file)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["absent", 0, 1, 30, 0.5, -100, b"<html>404</html>", bytes(300)])
def test_damaged_files_are_refused(name: str, folder: Path, damage) -> None:
    """Absent, cut to a number of bytes or a share, a web page, or zeros."""
    path = folder / READERS[name].file
    content = path.read_bytes()
    if damage == "absent":
        path.unlink()
    elif isinstance(damage, bytes):
        path.write_bytes(damage * 20)
    else:
        path.write_bytes(content[: round(len(content) * damage) if damage == 0.5 else damage])
    assert_refused(READERS[name], folder)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["inside", "zip", "legacy", "bare 2", "bare 4"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
def test_code_in_a_file_does_not_run(name: str, folder: Path, form: str) -> None:
    reader, ran = READERS[name], folder.with_name("ran")
    path, code = folder / reader.file, {"weights": published.MakesFolder(ran)}
    if form.startswith("bare"):
        path.write_bytes(pickle.dumps(code, protocol=int(form[-1])))
    elif form == "inside" and path.suffix != ".safetensors":
        edit(reader, folder, lambda tensors: tensors.update(code))
    else:
        torch.save(code, path, _use_new_zipfile_serialization=form != "legacy")
    assert_refused(reader, folder)
    assert not ran.exists()


WRONG: dict[str, Callable[[torch.Tensor], object]] = {
    "NaN": lambda value: value * torch.nan,
    "infinity": lambda value: value - torch.inf,
    "complex": lambda value: value.float() + 0j,
    "int64": torch.Tensor.long,
    "shape": lambda value: torch.stack([value, value]),
    "number": lambda _: 3.0,
    "claimed size": lambda _: torch.zeros(1).expand(10**7, 10**7),
    "missing": lambda _: None,
    "more": lambda value: value,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("problem", WRONG)
def test_other_weights_are_refused(name: str, folder: Path, problem: str) -> None:
    reader = READERS[name]
    key, pickled = reader.tensor, not reader.file.endswith(".safetensors")

    def change(tensors: dict[str, torch.Tensor]) -> None:
        value = tensors.pop(key)
        new = WRONG[problem](value)
        if problem in ("number", "claimed size") and not pickled:
            new = value[None].clone()
        tensors |= {} if new is None else {key: new}
        tensors |= {f"{key}.more": value.clone()} if problem == "more" else {}

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
    path = tmp_path / READERS[kind].file
    READERS[kind].write(path)
    said = {"format": "attm-flux-audio-1", key: stated} if key == "config" else {key: stated}
    save_file(load_file(path), path, said)
    with pytest.raises(CheckpointError, match=r"no usable configuration.*train it|feature widths"):
        READERS[kind].load(path)


# --- the commands: a line of words, what they say, and the files that they name ----------------


def tone(path: Path, seconds: float = 1.5, n_channels: int = 1, rate: int = 8_000) -> None:
    wave = 0.1 * np.sin(np.arange(round(seconds * rate)) / 20)
    soundfile.write(path, np.stack([wave] * n_channels, axis=1), rate)


def samples(values: list[float]) -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, np.array(values), 8_000, "FLOAT")


Content = bytes | str | Callable[[Path], object] | None
AUDIO: dict[str, dict[str, Content]] = {
    "1 s is the least": {"one.wav": samples([0.0]), "short.wav": lambda path: tone(path, 0.9)},
    "more than the 120 s": {"long.wav": lambda path: tone(path, 121.0, rate=4_000)},
    "nine.wav has 9 channels": {"nine.wav": lambda path: tone(path, n_channels=9)},
    "lasts 10800 s": {
        "hours.wav": lambda path: hours_of_silence(path, 16_000),
        "slow.wav": lambda path: hours_of_silence(path, 1),
    },
    "no samples": {"zero.wav": samples([])},
    "NaN": {"nan.wav": samples([np.nan] * 9_000), "inf.wav": samples([np.inf] * 9_000)},
    "is not UTF-8": {"caf\udce9.wav": None},
    "cannot be read as audio": {
        "corrupt.wav": b"RIFF????WAVE", "text.wav": b"no audio", "empty.flac": b"",
        "half.flac": lambda path: (tone(path), os.truncate(path, 60)), "bare.raw": bytes(99),
        "folder.wav": Path.mkdir,
    },
    "there is no file": {"gone.wav": None},
}  # fmt: skip
PROMPTS: dict[str, dict[str, Content]] = {
    "is not valid JSON": {
        "cut.json": b'{"a": "calm', "empty.json": b"", "bytes.json": b"\xff\xfe\x00",
        "deep.json": b"[" * 100_000 + b"]" * 100_000, "digits.json": b"[" + b"9" * 5_000 + b"]",
        "half.json": b'["calm \\ud800"]',
    },
    "is no prompt list": {
        "numbers.json": b"[1, 2]", "nested.json": b'[["calm"]]', "word.json": b'"calm"',
        "mixed.json": b'["calm", {"prompt": "fast"}]', "number.json": b"3",
        "values.json": b'{"a": 2}',
    },
    "a prompt is empty": {
        "blank.json": b'["calm", "  "]', "invisible.json": '["\u200b\ufeff\u00ad"]',
        "control.json": b'["\\u0000\\u0007"]',
    },
    "entry 1 has no text `prompt`": {
        "text.json": b'[{"id": "a", "prompt": 3}]', "only.json": b'[{"id": "a"}]',
        "null.json": b'[{"id": null, "prompt": "calm"}]', "columns.csv": b"text\ncalm\n",
        "torn.csv": b"id,prompt\na\n",
    },
    "is no usable": {"up.json": b'{"../up": "calm"}', "dots.json": b'{"a..b": "calm"}',
                     "dot.json": b'{"a.": "calm"}', "anonymous.json": b'{"": "calm"}'},
    "0 prompts": {"none.json": b"[]", "empty.csv": b""},
    "5000 characters": {"long.json": b'["' + b"x" * 5_000 + b'"]'},
    "differ in case only": {"case.json": b'{"a": "calm", "A": "fast"}'},
    "'a' appears twice": {"twice.json": json.dumps([{"id": "a", "prompt": "x"}] * 2)},
    "holds 10001 prompts": {"many.json": json.dumps(["x"] * (MAX_PROMPTS + 1))},
    "neither .json nor .csv": {"list.txt": b"calm"},
    "cannot be read as CSV": {"bytes.csv": b"prompt\n\xff\xfe"},
    "does not exist": {"gone.json": None},
    ".": {"folder.json": Path.mkdir, "gone.csv": None},
    "is not UTF-8": {"caf\udce9.json": None},
}  # fmt: skip
GENERATE: dict[str, tuple[str, ...]] = {
    "a prompt is empty": ("", " ", "\u200b", "\ufeff", "\x07"),
    "2001 characters": ("x" * 2001,),
    "is not UTF-8": ("caf\udce9", "calm --prefix caf\udce9", "calm --prompt caf\udce9",
                     "calm --negative caf\udce9", "calm --out caf\udce9"),
    "is a file": ("calm --out good.wav",),
    "": ("calm --s inf", "calm --s nan", "calm --s 1e39", "calm --s=-1e308", "calm --w nan",
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
    "--set backbone.n_heads=0", "--set backbone.width=33", "--set backbone.n_joint=-1",
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
  files: [{{path: {path}, sha256: {sha256},
  url: {url}, size: {size}}}]{more}}}"""
GOOD = {"path": "a.bin", "url": "https://example.org/a.bin", "size": 3, "more": ""}
GOOD |= {"sha256": "a" * 64}
MANIFESTS = (
    *(ASSET.format(**GOOD | {"path": path}) for path in
      ("../a.bin", "b/../../a.bin", "/etc/a.bin", "~/a", "c:/a", "''", "a\\b", r'"a/\0"')),
    *(ASSET.format(**GOOD | {"url": url}) for url in
      ("file:///etc/passwd", "http://example.org/a", "ftp://example.org/a", "https://", "a")),
    *(ASSET.format(**GOOD | {"size": size}) for size in ("-1", "many")),
    *(ASSET.format(**GOOD | {"sha256": d}) for d in ("abc", "z" * 64, "A" * 64)),
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


OTHERS = {
    "compare gone": "gone", "seeds --profile smoke --jobs 0": "jobs",
    "seeds --profile huge": "huge",
    "seeds --profile smoke --seeds -1": "whole_number value", "assets fetch ": "no asset ''",
    "assets verify ../vae": "no asset '../vae'; there are:", "claims --released gone": "gone",
    "notebooks --only gone": "no notebook gone; there are: ",
    "notebooks --jobs 0": "whole_number value: '0'",
    "notebooks --only head-sweep -p seed x": "'seed' is a int",
    "notebooks --only head-sweep -p sede 7": "sede", "nothing": "invalid choice",
    "notebooks --only head-sweep -p set beta=2": "did you mean",
    "notebooks --only head-sweep -p seed -1": "seed -1 is not in",
    "notebooks --only head-sweep -p beta 2": "numbers of the profile go into 'set'",
}  # fmt: skip


def commands() -> Iterator[tuple[list[str], str, dict[str, Content]]]:
    """Words, what they say, and the files that they name."""
    tables = ((AUDIO, ["score", "good.wav"]),
              (PROMPTS, ["submission", "--out", "out/x.zip", "--prompts"]))  # fmt: skip
    for table, words in tables:
        for said, files in table.items():
            for name, content in files.items():
                yield [*words, name, "--profile", "smoke"], said, {name: content}
    for out, said in (("good.wav/x.zip", "is a file"), ("x.tar", "name of a .zip"), ("out", "zip")):
        yield ["submission", "--out", out, "--profile", "smoke"], said, {}
    for said, many in GENERATE.items():
        for line in many:
            first, *others = line.split(" ") if "--" in line else [line]
            given = ["--out", "out", "--profile", "smoke", *others]
            yield ["generate", *([] if not first and others else [first]), *given], said, {}
    for line in STUDY:
        words = line.split(" ") if line != "--only" else ["--only", ""]
        said = "profile 'smoke' with {" if "=" in line and "x.y" not in line else ""
        yield ["study", "--dry-run", "--profile", "smoke", *words], said, {}
    reasons = {"bomb": "aliases are not allowed", "large": "at most 1000000 are read"}
    for name, content in PROFILES.items():
        said = reasons.get(name, "profile 'my.yaml': ")
        yield ["study", "--dry-run", "--profile", "my.yaml"], said, {"my.yaml": content}
        yield ["doctor", "--profile", "my.yaml"], "", {"my.yaml": content}
    for name in NAMES_OF_PROFILES:
        text = SMOKE.replace("name: smoke", f"name: {json.dumps(name)}")
        yield ["study", "--dry-run", "--profile", "my.yaml"], "name", {"my.yaml": text}
    yield ["study", "--dry-run", "--profile", "my.yaml"], "twice", {"my.yaml": f"{SMOKE}seed: 43\n"}
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
    for words, said in OTHERS.items():
        yield words.split(" "), said, {}


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
    read = functools.partial(load_manifest, place / "manifest.yaml")
    (place / "good.yaml").write_text(ASSET.format(**GOOD))
    assert load_manifest(place / "good.yaml")["thing"].files[0].size == 3
    (place / "manifest.yaml").write_text(text)
    monkeypatch.setattr(assets, "load_manifest", read)
    monkeypatch.setattr(assets_cli, "load_manifest", read)
    words = ["assets", action, *(["thing", "--to", "out"] if action != "list" else [])]
    refusal(words, capsys)
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
BAD_SCORES: dict[str, dict[str, object]] = {
    "NaN": {"clap": [0, np.nan, 0]}, "infinity": {"reward": [np.inf] * 3},
    "NaN embedding": {"embeddings": [[np.nan] * 2] * 3}, "another length": {"reward": [0.0] * 2},
    "fewer clips": {"embeddings": np.zeros((2, 2))}, "a column": {"clap": np.zeros((3, 1))},
    "a number": {"ccs": 0.0}, "no embedding": {"embeddings": np.zeros(3)},
    "nobody": {name: values[:0] for name, values in SCORES.items()},
    "text": {"clap": ["a", "b", "c"]}, "integers": {"clap": [0, 0, 0]},
    "complex": {"reward": [0j, 0j, 0j]}, "unknown": {"more": np.zeros(3)},
    "code": {"clap": [published.MakesFolder(Path("ran"))] * 3},
}  # fmt: skip


@pytest.mark.parametrize("problem", [*BAD_SCORES, "missing", "claimed size", "absent", "torn"])
def test_scores_that_cannot_be_are_refused(place, problem: str) -> None:
    if problem == "claimed size":
        claimed(place / "scores.npz")
    else:
        given = {**SCORES, **BAD_SCORES.get(problem, {})}
        given.pop("clap" if problem == "missing" else "", None)
        np.savez(place / "scores.npz", **given)
    if problem == "torn":
        os.truncate(place / "scores.npz", 300)
    elif problem == "absent":
        (place / "scores.npz").unlink()
    with pytest.raises(InputError, match=r"scores\.npz holds no scores"):
        Scores.load(place / "scores.npz")
    assert not (place / "ran").exists()


def test_there_are_three_hundred_cases_and_more() -> None:
    per_reader = 8 + 5 + len(WRONG)
    assert len(READERS) * per_reader + len(CASES) + 3 * len(MANIFESTS) >= 500
