import json
import os
import zipfile
from pathlib import Path

import pytest
import soundfile
import torch
from toy_networks import RATE_HZ, BrokenCodec, ToyStudio

from attm_companion.commands import casting
from attm_companion.commands.casting import Loaded
from attm_companion.commands.cli import main
from attm_companion.study.profile import load_profile
from attm_companion.study.study import Study
from attm_core.audio import save_audio

OWN = load_profile("smoke").generation


@pytest.fixture
def studio(monkeypatch):
    """A toy in the place of whatever the study would have trained."""
    studio = ToyStudio()
    studio.asked = []

    def trained(study, weights, train):
        studio.asked.append((study, weights, train))
        return loaded(studio)

    def reward(study, train):
        studio.asked.append((study, None, train))
        return studio.reward

    monkeypatch.setattr(casting, "trained", trained)
    monkeypatch.setattr(casting, "trained_reward", reward)
    return studio


def loaded(studio) -> Loaded:
    return Loaded(studio.backbone, studio.networks(), studio.reward, "toy-weights")


def metadata(path: Path) -> dict:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("metadata.json"))


def run(*words) -> int:
    return main([str(word) for word in words])


def test_generate_writes_clips_records_and_a_table(studio, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("generate", "calm", "--prompt", "fast", "--profile", "smoke", "--out", out) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "reward", "CLAP", "seed", "loudness"]
    assert len(lines) == 3
    for line, prompt in zip(lines[1:], ("calm", "fast"), strict=True):
        record = json.loads(Path(line.split()[0]).with_suffix(".json").read_text())
        assert record["prompt"] == prompt
        assert (record["s"], record["w"], record["n_steps"]) == (OWN.s, OWN.w, OWN.n_steps)
        assert (record["stage"], record["head"], record["weights"]) == ("crpo", "v1", "toy-weights")
    assert studio.texts == [[OWN.prefix + "calm", OWN.prefix + "fast"]]
    assert studio.asked[0][1].uid == Study("smoke").crpo().uid


def test_options_of_generate_replace_the_profile(studio, tmp_path):
    words = ["--s", "0", "--w", "1", "--steps", "2", "--seed", "7", "--prefix=", "--no-post"]
    words += ["--negative", "noise", "--stage", "expert", "--head", "v2", "--no-train"]
    assert run("generate", "calm", *words, "--profile", "smoke", "--out", tmp_path) == 0
    record = json.loads(next(tmp_path.glob("calm-*.json")).read_text())
    settings = ("s", "w", "n_steps", "seed", "prefix", "negative_prompt", "n_passes")
    assert [record[name] for name in settings] == [0.0, 1.0, 2, 7, "", "noise", 0]
    assert record["target_lufs"] is None
    assert studio.backbone.scores == [0.0, 0.0]
    _, weights, train = studio.asked[0]
    assert (weights.kind, weights.start.head, train) == ("expert", "input_add", False)


def test_files_carry_their_record_and_names_tell_requests_apart(studio, tmp_path):
    words = ["--profile", "smoke", "--out", tmp_path]
    for more in ([], [], ["--s", "1"], ["--seed", "9"]):
        assert run("generate", "Calm, slow piano!", "静かなピアノ", *more, *words) == 0
    assert len(list(tmp_path.glob("calm-slow-piano-*.wav"))) == 3
    assert len(list(tmp_path.glob("clip-*.json"))) == 3
    for path in tmp_path.glob("*.wav"):
        record = json.loads(path.with_suffix(".json").read_text())
        assert record["file"] == path.name
        assert record["loudness"]["outcome"] == "normalized"
        assert soundfile.info(path).subtype == "PCM_16"


@pytest.mark.parametrize("command", ["generate", "submission"])
def test_a_model_that_fails_leaves_nothing(studio, tmp_path, capsys, command):
    studio.codec = BrokenCodec()
    (tmp_path / "p.json").write_text('["calm"]')
    words = {
        "generate": ["calm", "--out", tmp_path / "out"],
        "submission": ["--prompts", tmp_path / "p.json", "--out", tmp_path / "out" / "x.zip"],
    }
    assert run(command, *words[command], "--profile", "smoke") == 1
    assert "NaN or infinite" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_score_takes_any_rate_and_channels(studio, tmp_path, capsys):
    wave = 0.1 * torch.sin(torch.arange(66_150) / 20)
    files = [tmp_path / "a.wav", tmp_path / "b.flac"]
    for path, n_channels, rate in zip(files, (2, 1), (44_100, 8_000), strict=True):
        save_audio(path, wave.expand(n_channels, -1), rate)
    assert run("score", *files, "--profile", "smoke", "--no-train") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "reward", "CLAP"]
    assert [line.split() for line in lines[1:]] == [[str(f), "+1.000", "–"] for f in files]
    assert studio.reward.rates == [44_100, 8_000]
    assert studio.asked[0][2] is False
    words = ["--prompt", "calm", "--json", "--profile", "smoke"]
    assert run("score", files[0], *words) == 0
    tree = json.loads(capsys.readouterr().out)
    assert (tree["profile"], tree["prompt"]) == ("smoke", "calm")
    assert studio.reward.prompts[2:] == ["calm"]
    assert tree["files"][0]["clap_score"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("words", "seed"),
    [("", OWN.seeds[0]), ("--sub 1", OWN.seeds[0]), ("--sub 2", OWN.sub2_seed), ("--seed 9", 9)],
)
def test_submission_holds_one_clip_a_prompt(studio, tmp_path, capsys, words, seed):
    (tmp_path / "p.csv").write_text("id,prompt\nb,calm\na,fast\n")
    out = tmp_path / "new" / "sub.zip"
    words = [*words.split(), "--prompts", tmp_path / "p.csv", "--profile", "smoke", "--out", out]
    assert run("submission", *words) == 0
    assert capsys.readouterr().out == f"{out}: 2 clips of 0.500 s at {RATE_HZ} Hz\n"
    assert [clip["id"] for clip in metadata(out)["clips"]] == ["a", "b"]
    record = metadata(out)["record"]
    assert (record["seed"], record["prompts"]) == (seed, {"b": "calm", "a": "fast"})
    assert (record["s"], record["n_passes"], record["weights"]) == (OWN.s, 3, "toy-weights")
    assert [path.name for path in out.parent.iterdir()] == ["sub.zip"]


def test_submission_clears_what_a_killed_one_left_and_nothing_else(studio, tmp_path):
    host, dead = os.uname().nodename, 99_999_999
    left = tmp_path / f".sub.{host}-{dead}.part.zip"
    kept = [  # another submission's, a running process's, of other names
        tmp_path / f".sub.b.{host}-{dead}.part.zip",
        tmp_path / f".sub.{host}-{os.getppid()}.part.zip",
        *(tmp_path / f".sub.{host}-{end}" for end in (f"host-{dead}.part.zip", "x.part.zip", dead)),
    ]
    for path in (left, *kept):
        path.write_text("half")
    words = ["--prompts", tmp_path / "p.json", "--profile", "smoke", "--out", tmp_path / "sub.zip"]
    (tmp_path / "p.json").write_text('["calm"]')
    assert run("submission", *words) == 0
    assert sorted(tmp_path.glob(".sub.*")) == sorted(kept)


def test_submission_without_a_list_takes_the_profile_s_prompts(studio, tmp_path, monkeypatch):
    provided = []
    monkeypatch.setattr(casting, "provide", lambda study, stages, train: provided.extend(stages))
    monkeypatch.setattr(
        type(Study("smoke").evaluation), "captions", lambda protocol, frozen: ["one", "two"]
    )
    assert run("submission", "--profile", "smoke", "--out", tmp_path / "x.zip") == 0
    assert [stage.kind for stage in provided] == ["corpus"]
    assert metadata(tmp_path / "x.zip")["record"]["prompts"] == {"000": "one", "001": "two"}


def test_random_weights_go_the_whole_way(tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--random-weights", "--steps", "1", "--profile", "smoke", "--out", out]
    assert run("generate", "calm piano", *words) == 0
    (path,) = out.glob("*.wav")
    assert str(path) in capsys.readouterr().out
    record = json.loads(path.with_suffix(".json").read_text())
    assert (record["reward"], record["clap_score"]) == (None, None)
    assert (record["stage"], record["weights"]) == ("untrained", "untrained-smoke-42")
    assert record["loudness"]["outcome"] in ("normalized", "ceiling")
    wave, rate = soundfile.read(path)
    assert (len(wave), rate) == (load_profile("smoke").cast.codec.n_samples, RATE_HZ)
    assert not (tmp_path / "cache").exists()


def test_a_backbone_from_a_file_takes_the_study_s_place(studio, tmp_path, monkeypatch):
    asked = []

    def given(study, path, forward, train):
        asked.append((path, forward, train))
        return loaded(studio)

    monkeypatch.setattr(casting, "given", given)
    out, path = tmp_path / "out", tmp_path / "theirs.pt"
    assert run("generate", "calm", "--profile", "smoke", "--weights", path, "--out", out) == 0
    words = ["--profile", "smoke", "--weights", path, "--stage", "sft", "--head", "v3"]
    assert run("generate", "calm", *words, "--out", out) == 0
    assert asked == [(path, "input_add", True), (path, "audio_prepend", True)]
    records = [json.loads(item.read_text()) for item in out.glob("calm-*.json")]
    assert {record["stage"] for record in records} == {"given"}


@pytest.mark.slow
def test_a_smoke_study_generates_and_scores_what_it_generated(tmp_path, capsys):
    out = tmp_path / "out"
    assert run("generate", "calm piano", "--profile", "smoke", "--out", out) == 0
    (path,) = out.glob("*.wav")
    record = json.loads(path.with_suffix(".json").read_text())
    capsys.readouterr()
    words = ["--prompt", "calm piano", "--profile", "smoke", "--no-train", "--json"]
    assert run("score", path, *words) == 0
    (scored,) = json.loads(capsys.readouterr().out)["files"]
    # 16-bit samples are all that lies between the two.
    assert scored["reward"] == pytest.approx(record["reward"], abs=1e-2)
    assert scored["clap_score"] == pytest.approx(record["clap_score"], abs=1e-2)
