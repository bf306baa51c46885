from pathlib import Path

import numpy as np
import pytest
import torch

from attm_companion.world.production import FAULTS, quality_of
from attm_companion.world.store import ClipStore
from attm_core.errors import AssetError, InputError

COLUMNS = {
    *("clip_id", "piece_id", "split", "kind", "ensemble", "caption", "tags", "tempo_bpm"),
    *("key", "mood", "has_voice", "voice_level", "quality"),
}


@pytest.fixture
def store(tiny_corpus: Path) -> ClipStore:
    return ClipStore(tiny_corpus)


def test_waves_are_the_stored_integers(store: ClipStore, tiny_corpus: Path) -> None:
    rows = [4, 1]
    waves = store.waves("mix", rows)
    assert waves.dtype == torch.float32 and waves.shape == (2, store.n_samples)
    stored = np.load(tiny_corpus / "mix.npy")[rows]
    np.testing.assert_array_equal(np.rint(waves.numpy() * 32767), stored)
    assert waves.abs().max() <= 1


def test_voices_are_where_the_table_says(store: ClipStore) -> None:
    energy = store.waves("vocals", range(len(store))).square().sum(dim=1).numpy()
    has_voice = store.table["has_voice"].to_numpy()
    np.testing.assert_array_equal(energy > 0, has_voice)
    assert has_voice.any() and not has_voice.all()
    assert not store.table["has_voice"][store.rows("reference")].any()
    assert not store.table["has_voice"][store.rows("prompts")].any()
    assert store.table["voice_level"].isna().equals(~store.table["has_voice"])


def test_the_parts_make_the_mix_where_nothing_is_overdriven(store: ClipStore) -> None:
    rows = np.flatnonzero(store.table["clipping"] == 0)
    parts = store.waves("instrumental", rows) + store.waves("vocals", rows)
    assert (store.waves("mix", rows) - parts).abs().max() < 4 / 32767


def test_quality_is_that_of_the_faults(store: ClipStore) -> None:
    for row in store.table.to_dict("records"):
        assert row["quality"] == pytest.approx(quality_of({f: row[f] for f in FAULTS}), abs=1e-5)
    quality = store.table["quality"].to_numpy()
    assert quality[store.rows("reference")].mean() > quality[store.rows("train")].mean()


def test_wrong_names(store: ClipStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown split 'dev'"):
        store.rows("dev")
    with pytest.raises(InputError, match="unknown track 'drums'"):
        store.waves("drums", [0])  # type: ignore[arg-type]
    with pytest.raises(AssetError, match="no complete corpus"):
        ClipStore(tmp_path)
