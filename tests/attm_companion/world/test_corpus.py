import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from attm_companion.world import build
from attm_companion.world.build import build_corpus, plan_clips
from attm_companion.world.clip_making import ClipTask, load_piece, make_clip
from attm_companion.world.production import FAULTS, quality_of
from attm_companion.world.store import ClipStore
from attm_core.errors import AssetError, InputError, RenderError
from attm_core.files import read_json, sha256_file

FILES = ("mix.npy", "instrumental.npy", "vocals.npy", "clips.parquet")


def _hashes(folder):
    return [sha256_file(folder / name) for name in FILES]


def _fail_clip_0_once(task):
    if task.clip_id == 0 and task.attempt == 0:
        raise RenderError("the accordion hangs")
    return make_clip(task)


def _fail(task):
    raise RenderError("the accordion hangs")


def _copy_pieces(source, target):
    """A folder whose scores are read already."""
    shutil.copytree(source / "pieces", target / "pieces")
    return target


def test_the_folder_holds_what_is_promised(tiny_corpus, tiny_config):
    names = {path.name for path in tiny_corpus.iterdir()}
    assert names == {*FILES, "corpus.json", "pieces"}
    shape = (tiny_config.n_clips, tiny_config.n_samples)
    for name in FILES[:3]:
        array = np.load(tiny_corpus / name, mmap_mode="r")
        assert array.dtype == np.int16 and array.shape == shape
    table = pd.read_parquet(tiny_corpus / "clips.parquet")
    assert table.groupby("piece_id")["split"].nunique().max() == 1
    assert table["split"].value_counts().to_dict() == tiny_config.split_sizes
    np.testing.assert_array_equal(table["clip_id"], np.arange(tiny_config.n_clips))


def test_a_corpus_is_made_once_and_by_two_workers_as_by_one(tiny_corpus, tmp_path, tiny_config):
    before = (tiny_corpus / "mix.npy").stat().st_mtime_ns
    build_corpus(tiny_config, tiny_corpus, workers=1)
    assert (tiny_corpus / "mix.npy").stat().st_mtime_ns == before
    build_corpus(tiny_config, _copy_pieces(tiny_corpus, tmp_path / "again"), workers=2)
    assert _hashes(tmp_path / "again") == _hashes(tiny_corpus)


def test_plan_shares_clips_over_pieces(tiny_config):
    pieces = {Path(f"{i}.json"): (f"piece{i}", "chorale") for i in range(40)}
    tasks = plan_clips(replace(tiny_config, n_train=53), pieces)
    assert [task.clip_id for task in tasks] == list(range(len(tasks)))
    train = pd.Series([task.piece_path for task in tasks if task.split == "train"])
    assert len(train) == 53
    assert set(train.value_counts()) == {2, 3}  # 26 pieces


def test_a_failing_clip_is_drawn_again_and_noted(tiny_corpus, tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "make_clip", _fail_clip_0_once)
    config = replace(tiny_config, n_train=1, n_valid=1, n_test=1, n_reference=1, n_prompts=1)
    folder = _copy_pieces(tiny_corpus, tmp_path / "retry")
    build_corpus(config, folder, workers=1)
    noted = read_json(folder / "corpus.json")["render_errors"]
    assert noted == [{"clip_id": 0, "attempt": 0, "error": "RenderError: the accordion hangs"}]
    piece_id = ClipStore(folder).table["piece_id"][0]
    files = [p for p in (folder / "pieces").iterdir() if load_piece(p).piece_id == piece_id]
    second = make_clip(ClipTask(0, "train", files[0], config, attempt=1))
    np.testing.assert_array_equal(np.load(folder / "mix.npy")[0], second.audio[0])
    other = make_clip(ClipTask(0, "train", files[0], replace(config, seed=7), attempt=1))
    assert not np.array_equal(other.audio, second.audio), "another seed is another corpus"


def test_clips_that_always_fail_leave_no_corpus(tiny_corpus, tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "make_clip", _fail)
    monkeypatch.setattr(build, "MAX_ATTEMPTS", 2)
    folder = _copy_pieces(tiny_corpus, tmp_path / "fail")
    with pytest.raises(RenderError, match=r"15 clips failed 2 times, e\.g\. .*accordion"):
        build_corpus(tiny_config, folder, workers=1)
    with pytest.raises(AssetError, match="no complete corpus"):
        ClipStore(folder)


def test_too_many_unreadable_scores(tmp_path, monkeypatch, tiny_config):
    missing = [("chorale", f"bach/none{i}.mxl") for i in range(3)]
    monkeypatch.setattr(build, "choose_files", lambda n, seed: missing)
    with pytest.raises(RenderError, match="3 of 3 scores cannot be read"):
        build_corpus(tiny_config, tmp_path, workers=1)


def test_a_killed_build_leaves_no_corpus_and_goes_on(tiny_corpus, tmp_path, tiny_config):
    folder = _copy_pieces(tiny_corpus, tmp_path / "killed")
    code = (
        "import pathlib, sys\nfrom attm_companion.world import build, config\n"
        f"made = config.CorpusConfig(**{asdict(tiny_config)!r})\n"
        "build.build_corpus(made, pathlib.Path(sys.argv[1]), 1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)])
    while not (folder / ".mix.part.npy").exists() and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(AssetError, match="no complete corpus"):
        ClipStore(folder)
    assert not any((folder / name).exists() for name in (*FILES, "corpus.json"))
    build_corpus(tiny_config, folder, workers=1)
    assert _hashes(folder) == _hashes(tiny_corpus)


def test_waves_are_the_stored_integers(tiny_corpus):
    store, rows = ClipStore(tiny_corpus), [4, 1]
    waves = store.waves("mix", rows)
    assert waves.dtype == torch.float32 and waves.shape == (2, store.n_samples)
    stored = np.load(tiny_corpus / "mix.npy")[rows]
    np.testing.assert_array_equal(np.rint(waves.numpy() * 32767), stored)
    assert waves.abs().max() <= 1
    with pytest.raises(InputError, match="unknown split 'dev'"):
        store.rows("dev")
    with pytest.raises(InputError, match="unknown track 'drums'"):
        store.waves("drums", [0])


def test_voices_and_faults_are_what_the_table_says(tiny_corpus):
    store = ClipStore(tiny_corpus)
    energy = store.waves("vocals", range(len(store))).square().sum(dim=1).numpy()
    has_voice = store.table["has_voice"].to_numpy()
    np.testing.assert_array_equal(energy > 0, has_voice)
    assert has_voice.any() and not has_voice.all()
    assert not store.table["has_voice"][store.rows("reference")].any()
    assert not store.table["has_voice"][store.rows("prompts")].any()
    assert store.table["voice_level"].isna().equals(~store.table["has_voice"])
    # The parts make the mix where nothing is overdriven.
    rows = np.flatnonzero(store.table["clipping"] == 0)
    parts = store.waves("instrumental", rows) + store.waves("vocals", rows)
    assert (store.waves("mix", rows) - parts).abs().max() < 4 / 32767
    for row in store.table.to_dict("records"):
        assert row["quality"] == pytest.approx(quality_of({f: row[f] for f in FAULTS}), abs=1e-5)
    quality = store.table["quality"].to_numpy()
    assert quality[store.rows("reference")].mean() > quality[store.rows("train")].mean()
