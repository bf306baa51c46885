import errno
import itertools
import multiprocessing
import os
import signal
from dataclasses import replace

import extraction_toys as toys
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from attm_core.data import extraction
from attm_core.data.extraction import read_windows
from attm_core.data.jamendo import COLUMNS
from attm_core.data.shards import _ShardedRows, extract, open_latents, open_table
from attm_core.errors import AssetError, ConfigError, InputError, StorageError
from attm_core.files import load_tensors, save_tensors
from attm_core.randomness import torch_generator
from attm_core.ranker.reward_model import REWARD_COLUMNS


@pytest.fixture
def audio(tmp_path):
    root = tmp_path / "audio"
    toys.toy_table(root).to_parquet(root / "windows.parquet")
    return root


@pytest.fixture
def table(audio):
    return pd.read_parquet(audio / "windows.parquet")


@pytest.fixture
def done(audio, table, tmp_path):
    extract(table, audio, toys.toy_cast(), tmp_path / "done", toys.CONFIG)
    return tmp_path / "done"


def extract_mortally(audio, folder, after, where):
    """Die at the ``after``-th call of the codec or in the middle of the ``after``-th file."""
    calls, codec = itertools.count(1), toys.ToyCodec()

    def counted(plain):
        def call(*given):
            if next(calls) == after:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(*given)

        return call

    if where == "codec":
        codec.encode = counted(codec.encode)
    else:
        os.replace = counted(os.replace)
    table = pd.read_parquet(audio / "windows.parquet")
    extract(table, audio, toys.toy_cast(codec=codec), folder, toys.CONFIG)


def apart(*given):
    """``extract_mortally`` in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=extract_mortally, args=given)
    process.start()
    return process


def test_every_clip_has_its_latents_and_scores(audio, done):
    table = open_table(done)
    assert set(table.columns) == {*COLUMNS, *REWARD_COLUMNS, "problem"}
    assert len(table) == 22 and (table["problem"] == "").all()
    tracks = table.groupby("track_id")["reward_score"].mean()
    np.testing.assert_allclose(table["track_reward_score"], tracks[table["track_id"]])


def test_a_clip_by_hand(audio, done, table):
    row = 1
    clip = table.iloc[row]
    wave, rate = soundfile.read(str(audio / clip["path"]))
    mono = wave.mean(axis=1)
    window = 0.95 / np.abs(mono).max() * mono[round(clip["start_s"] * rate) :][: rate // 2]
    shard = load_tensors(done / "clips" / "00000.safetensors")
    level = np.abs(window).reshape(4, -1).mean(axis=1)
    np.testing.assert_allclose(shard["mean"][row, :, 0], level, rtol=0.02)
    score = open_table(done)["instrumental_reward_score"][row]
    assert score == pytest.approx(np.abs(window).mean() + len(clip["caption"]) / 1000, rel=0.01)


def test_a_set_on_disk_is_the_set_in_memory(done):
    clips = open_latents(done)
    rows, texts = torch.arange(len(clips)), torch.arange(len(clips.tokens))
    spelled = replace(clips, mean=clips.mean[rows], std=clips.std[rows])
    spelled = replace(spelled, tokens=clips.tokens[texts], pooled=clips.pooled[texts])
    assert not isinstance(clips.mean, torch.Tensor) and isinstance(spelled.mean, torch.Tensor)
    assert clips.digest() == spelled.digest()
    rows = torch.tensor([5, 0, 5, 11])
    one, other = (s.batch(rows, torch_generator(0, "visit")) for s in (clips, spelled))
    assert torch.equal(one.latents, other.latents) and torch.equal(one.score, other.score)
    assert torch.equal(one.conditions.pooled, other.conditions.pooled)
    for one_part, other_part in zip(clips.statistics(), spelled.statistics(), strict=True):
        torch.testing.assert_close(one_part, other_part)
    table = open_table(done).query("split == 'train'")
    assert len(clips.tokens) == open_table(done)["caption"].nunique() == 8 < len(clips)  # once each
    tokens = clips.conditions(torch.arange(len(clips))).tokens
    assert torch.equal(tokens, toys.ToyText().encode(table["caption"].tolist()))


@pytest.mark.parametrize(("after", "where"), [(5, "codec"), (9, "file")])
def test_a_killed_extraction_ends_with_the_same_files(audio, table, done, tmp_path, after, where):
    folder = tmp_path / "killed"
    killed = apart(audio, folder, after, where)
    killed.join(300)
    assert killed.exitcode == -signal.SIGKILL
    assert len(toys.contents(folder)) > 0 and toys.contents(folder) != toys.contents(done)
    with pytest.raises(AssetError, match="is not finished"):
        open_latents(folder)
    extract(table, audio, toys.toy_cast(), folder, toys.CONFIG)
    assert toys.contents(folder) == toys.contents(done)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    extract(table, audio, toys.toy_cast(codec=None), folder, toys.CONFIG)  # nobody is asked again
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_two_processes_make_what_one_makes(audio, done, tmp_path):
    for process in [apart(audio, tmp_path / "shared", 0, "codec") for _ in range(2)]:
        process.join(300)
        assert process.exitcode == 0
    assert toys.contents(tmp_path / "shared") == toys.contents(done)


def test_a_file_system_without_locks_is_an_error(audio, table, tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(StorageError, match=r"file system without locks \(No locks available\)"):
        extract(table, audio, toys.toy_cast(), tmp_path / "out", toys.CONFIG)
    with pytest.raises(AssetError, match="is not finished"):
        open_table(tmp_path / "out")


def test_clips_that_cannot_be_used_are_left_out(tmp_path):
    root = tmp_path / "audio"
    table = toys.toy_table(root)
    by_path = table[table["split"] == "train"].groupby("path").size()
    broken, mute, alone, nan = by_path.index[:4]
    (root / broken).write_bytes(b"RIFF")
    toys.write_track(root / mute, 1.5, 0.0)
    tone = 0.5 * np.sin(np.arange(6_000) * 0.3)
    soundfile.write(
        str(root / alone), np.stack([tone, -tone], axis=1), toys.RATE_HZ, subtype="FLOAT"
    )
    soundfile.write(str(root / nan), np.full((6_000, 2), np.nan), toys.RATE_HZ, subtype="FLOAT")
    extract(table, root, toys.toy_cast(), tmp_path / "out", toys.CONFIG)
    found = open_table(tmp_path / "out").set_index("path")
    assert set(found.loc[broken, "problem"]) == set(found.loc[nan, "problem"]) == {"unreadable"}
    assert set(found.loc[mute, "problem"]) == set(found.loc[alone, "problem"]) == {"silent"}
    bad = found["problem"] != ""
    assert found.loc[bad, list(REWARD_COLUMNS)].isna().all(axis=None)
    assert found.loc[~bad, list(REWARD_COLUMNS)].notna().all(axis=None)
    clips = open_latents(tmp_path / "out")
    assert len(clips) == len(table[table["split"] == "train"]) - by_path.iloc[:4].sum()
    assert (clips.std[torch.arange(len(clips))] > 0).all()

    class AllVoice(toys.ToySeparator):
        def no_vocals(self, wave):
            return torch.zeros_like(wave)

    half = replace(toys.CONFIG, dtype="float16")
    extract(table, root, toys.toy_cast(separator=AllVoice()), tmp_path / "mute", half)
    assert set(open_table(tmp_path / "mute")["problem"]) == {"silent", "unreadable"}
    assert load_tensors(tmp_path / "mute/clips/00000.safetensors")["mean"].dtype == torch.float16
    with pytest.raises(InputError, match="no usable clip in split 'train'"):
        open_latents(tmp_path / "mute")


def test_another_extraction_and_what_is_none_are_refused(audio, table, done, tmp_path):
    with pytest.raises(ConfigError, match="differs in cast"):
        extract(table, audio, toys.toy_cast(uid="others"), done, toys.CONFIG)
    with pytest.raises(ConfigError, match="differs in batch_size"):
        extract(table, audio, toys.toy_cast(), done, replace(toys.CONFIG, batch_size=2))
    with pytest.raises(ConfigError, match="differs in n_clips, table"):
        extract(table.iloc[:-1], audio, toys.toy_cast(), done, toys.CONFIG)
    extract(table, audio, toys.toy_cast(), done, toys.CONFIG)
    with pytest.raises(InputError, match=r"lacks the columns \['caption'\]"):
        extract(table.drop(columns="caption"), audio, toys.toy_cast(), tmp_path / "x", toys.CONFIG)
    with pytest.raises(InputError, match="has 0 clips"):
        extract(table.iloc[:0], audio, toys.toy_cast(), tmp_path / "x", toys.CONFIG)
    with pytest.raises(AssetError, match="holds no extraction"):
        open_table(tmp_path)
    with pytest.raises(InputError, match="unknown reward column 'loudness'"):
        open_latents(done, reward="loudness")
    with pytest.raises(InputError, match="no usable clip in split 'dev'"):
        open_latents(done, "dev")


def test_sharded_rows_are_those_of_the_whole(tmp_path):
    whole = torch.arange(22.0).reshape(11, 2)
    paths = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for path, part in zip(paths, whole.split(4), strict=True):
        save_tensors(path, {"x": part})
    picked = torch.tensor([10, 3, 4, 0])
    sharded = _ShardedRows(paths, "x", 4, picked)
    assert (len(sharded), sharded.ndim, tuple(sharded.shape)) == (4, 2, (4, 2))
    assert torch.equal(sharded[torch.tensor([3, 0, 0])], whole[[0, 10, 10]])
    assert torch.equal(torch.cat(list(sharded.split(3))), whole[picked])
    assert sharded[torch.tensor([], dtype=torch.long)].shape == (0, 2)
    with pytest.raises(InputError, match="integer tensor"):
        sharded[torch.tensor([True, False, True, False])]


def test_windows_are_those_of_the_decoded_track(tmp_path, monkeypatch):
    draw = np.random.default_rng(0)
    noise = draw.normal(size=(44_100 * 3, 2)) * 0.1
    for name in ("noise.wav", "noise.mp3"):
        soundfile.write(str(tmp_path / name), noise, 44_100)
        whole = soundfile.read(str(tmp_path / name), dtype="float32")[0]
        for block in (1 << 18, 1000):
            monkeypatch.setattr(extraction, "_BLOCK_SAMPLES", block)
            heard = read_windows(tmp_path / name, [1.5, 0.0, 2.75], 0.5)
            assert heard.sample_rate_hz == 44_100
            assert heard.peak == pytest.approx(np.abs(whole.mean(axis=1)).max(), rel=1e-6)
            first, start, last = (wave.numpy().T for wave in heard.waves)
            np.testing.assert_array_equal(first, whole[66_150 : 66_150 + 22_050])
            np.testing.assert_array_equal(start, whole[:22_050])
            n = len(whole) - 121_275  # of the last window the end lies beyond the track
            np.testing.assert_array_equal(last[:n], whole[121_275 : 121_275 + n][:22_050])
            assert not last[n:].any()
    with pytest.raises(InputError, match="ends after"):
        read_windows(tmp_path / "noise.wav", [4.0], 0.5)
    with pytest.raises(InputError, match="cannot be read as audio"):
        read_windows(tmp_path / "none.wav", [0.0], 0.5)
