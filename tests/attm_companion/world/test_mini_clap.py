"""The CLAP stand-in: its loss by hand, and what a few seconds of training give."""

import math
from pathlib import Path

import pytest
import torch
from toy_instruments import toy_clips

from attm_companion.world.config import FitConfig, MelTowerConfig, MiniClapConfig
from attm_companion.world.mel_tower import listen
from attm_companion.world.mini_clap import MiniClap, clap_quality, info_nce, train_mini_clap
from attm_core.errors import InputError
from attm_core.randomness import torch_generator
from attm_core.weights import load_module, save_module

CONFIG = MiniClapConfig(
    width=16,
    hidden=32,
    text_width=8,
    tower=MelTowerConfig(channels=(8, 16)),
    crop_frames=32,
    fit=FitConfig(steps=100, batch_size=24, learning_rate=5e-3),
)


class WordCode:
    """A stand-in for MiniLM: a fixed random vector a text."""

    width = 8

    def pooled(self, texts: list[str]) -> torch.Tensor:
        """A vector a text."""
        codes = [torch.randn(8, generator=torch_generator(0, text)) for text in texts]
        return torch.stack(codes)


@pytest.fixture(scope="module")
def trained() -> MiniClap:
    waves, captions, _ = toy_clips(96, seed=0)
    return train_mini_clap(listen(waves, 16_000), captions, WordCode(), CONFIG, torch_generator(0))


def test_info_nce_by_hand() -> None:
    # Two distinct pairs with logits (a, 0; 0, a): each row and column costs log(1 + e^-a).
    logits = 2.0 * torch.eye(2)
    assert info_nce(logits, torch.tensor([0, 1])) == pytest.approx(math.log(1 + math.exp(-2)))
    # Both captions equal: the target is uniform, and so is the best answer, at log 2.
    assert info_nce(torch.zeros(2, 2), torch.tensor([5, 5])) == pytest.approx(math.log(2))
    assert info_nce(3 * torch.eye(2), torch.tensor([5, 5])) > math.log(2)


def test_held_out_pairs_match(trained: MiniClap) -> None:
    waves, captions, _ = toy_clips(30, seed=1)
    quality = clap_quality(trained, listen(waves, 16_000), captions, torch_generator(2))
    assert quality["matched"] > quality["shuffled"] + 0.5
    assert quality["median_rank"] == 1
    assert quality["chance_rank"] == 15.5


def test_loudness_is_not_heard(trained: MiniClap) -> None:
    waves, _, _ = toy_clips(4, seed=5)
    unit = waves / waves.square().mean(-1, keepdim=True).sqrt()
    soft, middle, loud = (
        trained.embed_audio((unit * 10 ** (dbfs / 20))[:, None], 16_000) for dbfs in (-30, -20, -10)
    )
    assert torch.allclose(soft, middle, atol=1e-5)
    assert torch.allclose(loud, middle, atol=1e-5)
    assert torch.isfinite(listen(torch.zeros(1, 16_384), 16_000)).all()


def test_training_is_reproducible_and_silent_about_global_state(trained: MiniClap) -> None:
    waves, captions, _ = toy_clips(96, seed=0)
    state = torch.random.get_rng_state()
    mels = listen(waves, 16_000)
    again = train_mini_clap(mels, captions, WordCode(), CONFIG, torch_generator(0))
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, trained.state_dict()[name]), name


def test_file_round_trip(trained: MiniClap, tmp_path: Path) -> None:
    path = save_module(tmp_path / "clap.safetensors", trained, CONFIG)
    loaded, _ = load_module(path, MiniClapConfig, lambda config: MiniClap(config, WordCode()))
    waves, _, _ = toy_clips(2, seed=4)
    assert loaded.config == CONFIG
    one, other = (clap.embed_audio(waves[:, None], 16_000) for clap in (loaded, trained))
    assert torch.equal(one, other)
    with pytest.raises(InputError, match="2 clips but 1 captions"):
        train_mini_clap(torch.zeros(2, 64, 64), ["x"], WordCode(), CONFIG, torch_generator(0))
