import math

import numpy as np
import pandas as pd
import pytest
import torch
from toy_instruments import toy_clips

from attm_companion.world import config, oracle
from attm_companion.world.listeners import ListenerConfig
from attm_companion.world.mel_tower import listen
from attm_companion.world.mini_clap import MiniClap, clap_quality, info_nce, train_mini_clap
from attm_companion.world.mini_mert import MiniMert, disjoint_crops, probe_r2, train_mini_mert
from attm_companion.world.oracle import CONCEPTS, HIDDEN, Opinion, Oracle, concepts_of
from attm_core.errors import InputError
from attm_core.randomness import torch_generator
from attm_core.weights import load_module, save_module

RATE_HZ = 16_000
TOWER = config.MelTowerConfig(channels=(8, 16))


def fit(steps):
    return config.FitConfig(steps=steps, batch_size=24, learning_rate=5e-3)


SIZES = {
    "clap": config.MiniClapConfig(
        width=16, hidden=32, text_width=8, tower=TOWER, crop_frames=32, fit=fit(100)
    ),
    "mert": config.MiniMertConfig(projection=16, tower=TOWER, crop_frames=24, fit=fit(30)),
    "oracle": config.OracleConfig(tower=TOWER, crop_frames=32, fit=fit(60)),
}
CAPTION = "A slow, tender waltz in D major for electric piano and fretless bass."
TAGS = "slow, tender, electric piano trio"


class WordCode:
    """A stand-in for MiniLM: a fixed random vector a text."""

    width = 8

    def pooled(self, texts):
        return torch.stack([torch.randn(8, generator=torch_generator(0, text)) for text in texts])


def toy_table(hiss):
    truth = dict.fromkeys(HIDDEN, np.zeros(len(hiss)))
    plain = {"ensemble": "electric piano trio", "tempo": "slow", "key": "D major"}
    sung = np.arange(len(hiss)) % 2 == 0
    told = {"caption": CAPTION, "has_voice": sung}
    tags = {"tags": [TAGS, "fast, urgent, mallets"] * (len(hiss) // 2)}
    return pd.DataFrame({**truth, **plain, **told, **tags, "hiss": 20 * hiss.numpy()})


BUILD = {"clap": lambda size: MiniClap(size, WordCode()), "mert": MiniMert, "oracle": Oracle}


def train(name):
    waves, captions, hiss = toy_clips(96, seed=0)
    mels, size, generator = listen(waves, RATE_HZ), SIZES[name], torch_generator(0)
    if name == "clap":
        return train_mini_clap(mels, captions, WordCode(), size, generator)
    if name == "mert":
        return train_mini_mert(mels, size, generator)
    return oracle.train_oracle(mels, toy_table(hiss), size, generator)


@pytest.fixture(scope="module")
def trained():
    return {name: train(name) for name in SIZES}


def heard(network, waves):
    """What a network says of clips (n, S), by clip."""
    if isinstance(network, Oracle):
        return torch.from_numpy(network.judge(listen(waves, RATE_HZ)).hidden)
    return network.embed_audio(waves[:, None], RATE_HZ)


@pytest.mark.parametrize("name", SIZES)
def test_training_is_reproducible_and_silent_about_global_state(name, trained):
    state = torch.random.get_rng_state()
    again = train(name).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    for key, tensor in trained[name].state_dict().items():
        assert torch.equal(again[key], tensor), key


@pytest.mark.parametrize("name", SIZES)
def test_file_round_trip(name, trained, tmp_path):
    waves, _, _ = toy_clips(3, seed=4)
    path = save_module(tmp_path / "network.safetensors", trained[name], SIZES[name])
    loaded, _ = load_module(path, type(SIZES[name]), BUILD[name])
    assert loaded.config == SIZES[name]
    assert torch.equal(heard(loaded, waves), heard(trained[name], waves))


def test_info_nce_by_hand():
    # Two distinct pairs with logits (a, 0; 0, a): each row and column costs log(1 + e^-a).
    logits = 2.0 * torch.eye(2)
    assert info_nce(logits, torch.tensor([0, 1])) == pytest.approx(math.log(1 + math.exp(-2)))
    # Both captions equal: the target is uniform, and so is the best answer, at log 2.
    assert info_nce(torch.zeros(2, 2), torch.tensor([5, 5])) == pytest.approx(math.log(2))
    assert info_nce(3 * torch.eye(2), torch.tensor([5, 5])) > math.log(2)


def test_held_out_pairs_match(trained):
    waves, captions, _ = toy_clips(30, seed=1)
    quality = clap_quality(trained["clap"], listen(waves, RATE_HZ), captions, torch_generator(2))
    assert quality["matched"] > quality["shuffled"] + 0.5
    assert quality["median_rank"] == 1
    assert quality["chance_rank"] == 15.5
    with pytest.raises(InputError, match="2 clips but 1 captions"):
        train_mini_clap(waves[:2], ["x"], WordCode(), SIZES["clap"], torch_generator(0))


def test_loudness_is_not_heard(trained):
    waves, _, _ = toy_clips(4, seed=5)
    unit = waves / waves.square().mean(-1, keepdim=True).sqrt()
    soft, middle, loud = (
        heard(trained["clap"], unit * 10 ** (dbfs / 20)) for dbfs in (-30, -20, -10)
    )
    assert torch.allclose(soft, middle, atol=1e-5)
    assert torch.allclose(loud, middle, atol=1e-5)
    assert torch.isfinite(listen(torch.zeros(1, 16_384), RATE_HZ)).all()


def test_windows_do_not_overlap():
    frames = torch.arange(20.0).expand(200, 1, 20)
    first, second = disjoint_crops(frames, 8, torch_generator(0))
    assert first.shape == second.shape == (200, 1, 8)
    assert (first.amax(-1) < second.amin(-1)).all()
    assert set(first[:, 0, 0].tolist()) == {0, 1, 2, 3, 4}
    with pytest.raises(InputError, match="two windows of 8"):
        disjoint_crops(torch.zeros(1, 1, 15), 8, torch_generator(0))


def test_probe_by_hand():
    features = np.linspace(-1, 1, 40)[:, None]
    assert probe_r2(features, 3 * features[:, 0] + 1, 30, ridge=0.0) == pytest.approx(1.0)
    # A constant answer of 0 for targets ±1 leaves all of their variance.
    targets = np.tile([1.0, -1.0], 20)
    assert probe_r2(np.zeros((40, 1)), targets, 30) == pytest.approx(0.0)
    with pytest.raises(InputError, match="all equal"):
        probe_r2(features, np.ones(40), 30)


def test_hiss_is_readable_although_no_label_told_of_it(trained):
    waves, _, hiss = toy_clips(150, seed=1)
    embedding = heard(trained["mert"], waves)
    assert embedding.shape == (150, SIZES["mert"].tower.width)
    assert probe_r2(embedding.numpy(), hiss.numpy(), 100) > 0.8


def test_concepts_of_a_caption():
    held = oracle.concept_table(toy_table(torch.zeros(2)))
    names = [{name for name, has in zip(CONCEPTS, row, strict=True) if has} for row in held]
    expected = {"electric piano", "fretless bass", "electric piano trio", "slow", "major, slow"}
    assert names == [expected | {"voices"}, expected]
    assert concepts_of(CAPTION, TAGS) == ["electric piano", "fretless bass", "slow", "major, slow"]


def test_expected_fit_by_hand():
    concepts = np.zeros((1, len(CONCEPTS)))
    for name, probability in {"slow": 0.9, "major, slow": 0.8, "electric piano trio": 0.3}.items():
        concepts[0, CONCEPTS.index(name)] = probability
    # One mood of the four of its group: a quarter of the group's probability.
    expected = (0.9 + 0.8 / 4 + 0.3) / 3
    assert Opinion(np.zeros((1, 2)), concepts, concepts[0]).fit([TAGS]) == pytest.approx(expected)


def test_figures_by_hand():
    table = toy_table(torch.tensor([0.0, 0.01, 0.02, 0.03]))
    hidden = np.zeros((4, len(HIDDEN)))
    hidden[:, HIDDEN.index("hiss")] = [0.0, 0.2, 0.4, 0.2]  # the last is 0.4 off
    concepts = np.zeros((4, len(CONCEPTS)))
    concepts[:, CONCEPTS.index("voices")] = [0.9, 0.1, 0.2, 0.1]  # clips 0 and 2 have it
    quality = oracle.oracle_quality(Opinion(hidden, concepts, np.full(len(CONCEPTS), 0.3)), table)
    assert quality["r2"]["hiss"] == pytest.approx(1 - 0.16 / 0.2)
    assert quality["accuracy"] == {"voices": pytest.approx((1 / 2 + 2 / 2) / 2)}


def test_utility_by_hand():
    # Two ordinary training clips of quality 0 and 1 that share one of three tags with each other:
    # fit 1 twice and 1/3 twice, mean 2/3, deviation 1/3.
    table = pd.DataFrame({"split": "train", "quality": [0.0, 1.0], "tags": ["a, b, c", "a, d, e"]})
    taste = oracle.Taste.of(table, ListenerConfig(quality_weight=2.0, fit_weight=3.0))
    assert taste.utility(np.array([1.0]), np.array([1.0])) == pytest.approx([2.0 + 3.0])
    assert taste.utility(np.array([0.5]), np.array([2 / 3])) == pytest.approx([0.0])


def test_hidden_hiss_is_learnt(trained):
    waves, _, hiss = toy_clips(60, seed=1)
    opinion = trained["oracle"].judge(listen(waves, RATE_HZ))
    level = opinion.hidden[:, HIDDEN.index("hiss")]
    assert np.corrcoef(level, hiss.numpy())[0, 1] > 0.9
    concept = CONCEPTS[0]
    assert opinion.answers([[concept]] * 60) == [[has] for has in opinion.heard[:, 0].tolist()]
