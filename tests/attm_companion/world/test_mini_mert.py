"""The MERT stand-in: windows, probe by hand, and production quality in the embedding."""

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_instruments import toy_clips

from attm_companion.world.config import FitConfig, MelTowerConfig, MiniMertConfig
from attm_companion.world.mel_tower import listen
from attm_companion.world.mini_mert import MiniMert, disjoint_crops, probe_r2, train_mini_mert
from attm_core.errors import InputError
from attm_core.randomness import torch_generator
from attm_core.weights import load_module, save_module

CONFIG = MiniMertConfig(
    projection=16,
    tower=MelTowerConfig(channels=(8, 16)),
    crop_frames=24,
    fit=FitConfig(steps=30, batch_size=24, learning_rate=5e-3),
)


@pytest.fixture(scope="module")
def trained() -> MiniMert:
    return train_mini_mert(listen(toy_clips(96, seed=0)[0], 16_000), CONFIG, torch_generator(0))


def test_windows_do_not_overlap() -> None:
    frames = torch.arange(20.0).expand(200, 1, 20)
    first, second = disjoint_crops(frames, 8, torch_generator(0))
    assert first.shape == second.shape == (200, 1, 8)
    assert (first.amax(-1) < second.amin(-1)).all()
    assert set(first[:, 0, 0].tolist()) == {0, 1, 2, 3, 4}
    with pytest.raises(InputError, match="two windows of 8"):
        disjoint_crops(torch.zeros(1, 1, 15), 8, torch_generator(0))


def test_probe_by_hand() -> None:
    features = np.linspace(-1, 1, 40)[:, None]
    assert probe_r2(features, 3 * features[:, 0] + 1, 30, ridge=0.0) == pytest.approx(1.0)
    # A constant answer of 0 for targets ±1 leaves all of their variance.
    targets = np.tile([1.0, -1.0], 20)
    assert probe_r2(np.zeros((40, 1)), targets, 30) == pytest.approx(0.0)
    with pytest.raises(InputError, match="all equal"):
        probe_r2(features, np.ones(40), 30)


def test_hiss_is_readable_although_no_label_told_of_it(trained: MiniMert) -> None:
    waves, _, hiss = toy_clips(150, seed=1)
    embedding = trained.embed_audio(waves[:, None], 16_000).numpy()
    assert probe_r2(embedding, hiss.numpy(), 100) > 0.8


def test_embedding_shape_and_file_round_trip(trained: MiniMert, tmp_path: Path) -> None:
    waves, _, _ = toy_clips(3, seed=2)
    embedding = trained.embed_audio(waves[:, None], 16_000)
    assert embedding.shape == (3, trained.width) == (3, CONFIG.tower.width)
    path = save_module(tmp_path / "mert.safetensors", trained, CONFIG)
    loaded, _ = load_module(path, MiniMertConfig, MiniMert)
    assert torch.equal(loaded.embed_audio(waves[:, None], 16_000), embedding)
