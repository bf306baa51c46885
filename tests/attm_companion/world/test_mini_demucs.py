import math

import pytest
import torch

from attm_companion.world import mini_separator
from attm_companion.world.config import MiniDemucsConfig, MiniDemucsTraining
from attm_core.errors import CheckpointError, InputError
from attm_core.files import save_tensors
from attm_core.generation.separation import DemucsSeparator, remove_vocals

SHAPE = MiniDemucsConfig(channels=8, depth=2, stride=8, sample_rate_hz=2000, segment_s=4.0)
SHORT = MiniDemucsTraining(n_steps=120, batch_size=4, crop_samples=1024, learning_rate=1e-2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def toy_stems(n=24, seed=0):
    """Low hums as instruments, high whistles as voices; a third of the clips has no voice."""
    draws = torch.rand(4, n, 1, generator=generator(seed))
    time = torch.arange(2048)
    music = 0.1 * torch.sin((0.05 + 0.1 * draws[0]) * time + 6 * draws[1])
    voice = 0.1 * torch.sin((1.5 + 0.8 * draws[2]) * time + 6 * draws[3])
    voice[::3] = 0
    return music, voice


@pytest.fixture(scope="module")
def trained():
    return mini_separator.train_mini_demucs(*toy_stems(), generator(), SHAPE, SHORT)


def test_si_sdr_by_hand():
    # estimate = 2·target + an orthogonal part of the same length as target: 10 log10(4/1).
    target, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    ratio_db = mini_separator.si_sdr_db(2 * target + other, target).item()
    assert ratio_db == pytest.approx(6.0206, abs=1e-3)
    assert mini_separator.si_sdr_db(5 * target, target).item() > 100


def test_training_removes_the_voice_and_spares_the_rest(trained):
    quality = mini_separator.separation_quality(DemucsSeparator(trained), *toy_stems(seed=1))
    assert quality["untouched_db"] < 1.0
    assert quality["one_pass_db"] > quality["untouched_db"] + 8
    assert quality["three_passes_db"] > quality["untouched_db"] + 8
    assert quality["clean_db"] > 12


def test_initial_weights_have_the_scale_of_demucs():
    # U(±b) has deviation b/√3; demucs divides the weights by √(deviation / 0.1).
    weight, again, other = (
        mini_separator.build_mini_demucs(SHAPE, generator(k)).encoder[1][0].weight
        for k in (0, 0, 1)
    )
    expected = math.sqrt(0.1 / math.sqrt(3 * weight[0].numel()))
    assert abs(weight.std().item() / expected - 1) < 0.05

    assert torch.equal(weight, again) and not torch.equal(weight, other)


def test_mixtures_have_the_levels_asked_for():
    training = MiniDemucsTraining(batch_size=400, crop_samples=1024, voice_db=(-6.0, 0.0))
    music, voice = mini_separator.draw_mixture(*toy_stems(), training, generator())
    assert music.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.05)
    heard = voice.abs().amax(dim=1) > 0
    rms = voice[heard].square().mean(dim=1).sqrt()
    assert 0.04 < rms.min() < rms.max() < 0.101


def test_round_trip_through_a_file(trained, tmp_path):
    path = mini_separator.save_mini_demucs(trained, SHAPE, tmp_path / "separator.safetensors")
    wave = sum(toy_stems())[1:2, None]
    expected = remove_vocals(wave, DemucsSeparator(trained))
    torch.testing.assert_close(remove_vocals(wave, mini_separator.load_mini_demucs(path)), expected)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "no mini demucs"),
        ({mini_separator.CONFIG_KEY: "{}"}, "does not fit"),
        ({mini_separator.CONFIG_KEY: '{"width": 3}'}, "does not fit"),
    ],
)
def test_wrong_files_are_refused(tmp_path, metadata, message):
    path = save_tensors(tmp_path / "a.safetensors", {"w": torch.zeros(1)}, metadata)
    with pytest.raises(CheckpointError, match=message):
        mini_separator.load_mini_demucs(path)


def test_bad_stems_are_refused():
    music, voice = toy_stems()
    with pytest.raises(InputError, match="not silent"):
        mini_separator.train_mini_demucs(music, 0 * voice, generator(), SHAPE, SHORT)
    with pytest.raises(InputError, match="S ≥ 1024"):
        mini_separator.train_mini_demucs(music[:, :100], voice, generator(), SHAPE, SHORT)
    model = DemucsSeparator(mini_separator.build_mini_demucs(SHAPE, generator()))
    with pytest.raises(InputError, match="clips without"):
        mini_separator.separation_quality(model, music[1:3], voice[1:3])
