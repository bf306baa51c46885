"""The oracle listener: concepts by hand, its figures by hand, and that it learns what is hidden."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from toy_instruments import toy_clips

from attm_companion.world import oracle
from attm_companion.world.config import FitConfig, MelTowerConfig, OracleConfig
from attm_companion.world.listeners import ListenerConfig
from attm_companion.world.mel_tower import listen
from attm_companion.world.oracle import CONCEPTS, HIDDEN, Opinion, Oracle, concepts_of
from attm_core.randomness import torch_generator
from attm_core.weights import load_module, save_module

CONFIG = OracleConfig(
    tower=MelTowerConfig(channels=(8, 16)),
    crop_frames=32,
    fit=FitConfig(steps=60, batch_size=24, learning_rate=5e-3),
)
CAPTION = "A slow, tender waltz in D major for electric piano and fretless bass."
TAGS = "slow, tender, electric piano trio"


def toy_table(hiss: torch.Tensor) -> pd.DataFrame:
    truth = dict.fromkeys(HIDDEN, np.zeros(len(hiss)))
    plain = {"ensemble": "electric piano trio", "tempo": "slow", "key": "D major"}
    sung = np.arange(len(hiss)) % 2 == 0
    told = {"caption": CAPTION, "has_voice": sung}
    tags = {"tags": [TAGS, "fast, urgent, mallets"] * (len(hiss) // 2)}
    return pd.DataFrame({**truth, **plain, **told, **tags, "hiss": 20 * hiss.numpy()})


@pytest.fixture(scope="module")
def trained() -> Oracle:
    waves, _, hiss = toy_clips(96, seed=0)
    return oracle.train_oracle(listen(waves, 16_000), toy_table(hiss), CONFIG, torch_generator(0))


def test_concepts_of_a_caption() -> None:
    held = oracle.concept_table(toy_table(torch.zeros(2)))
    names = [{name for name, has in zip(CONCEPTS, row, strict=True) if has} for row in held]
    expected = {"electric piano", "fretless bass", "electric piano trio", "slow", "major, slow"}
    assert names == [expected | {"voices"}, expected]
    assert concepts_of(CAPTION, TAGS) == ["electric piano", "fretless bass", "slow", "major, slow"]


def test_expected_fit_by_hand() -> None:
    concepts = np.zeros((1, len(CONCEPTS)))
    for name, probability in {"slow": 0.9, "major, slow": 0.8, "electric piano trio": 0.3}.items():
        concepts[0, CONCEPTS.index(name)] = probability
    # One mood of the four of its group: a quarter of the group's probability.
    expected = (0.9 + 0.8 / 4 + 0.3) / 3
    assert Opinion(np.zeros((1, 2)), concepts, concepts[0]).fit([TAGS]) == pytest.approx(expected)


def test_figures_by_hand() -> None:
    table = toy_table(torch.tensor([0.0, 0.01, 0.02, 0.03]))
    hidden = np.zeros((4, len(HIDDEN)))
    hidden[:, HIDDEN.index("hiss")] = [0.0, 0.2, 0.4, 0.2]  # the last is 0.4 off
    concepts = np.zeros((4, len(CONCEPTS)))
    concepts[:, CONCEPTS.index("voices")] = [0.9, 0.1, 0.2, 0.1]  # clips 0 and 2 have it
    quality = oracle.oracle_quality(Opinion(hidden, concepts, np.full(len(CONCEPTS), 0.3)), table)
    assert quality["r2"]["hiss"] == pytest.approx(1 - 0.16 / 0.2)
    assert quality["accuracy"] == {"voices": pytest.approx((1 / 2 + 2 / 2) / 2)}


def test_utility_by_hand() -> None:
    # Two ordinary training clips of quality 0 and 1 that share one of three tags with each other:
    # fit 1 twice and 1/3 twice, mean 2/3, deviation 1/3.
    table = pd.DataFrame({"split": "train", "quality": [0.0, 1.0], "tags": ["a, b, c", "a, d, e"]})
    taste = oracle.Taste.of(table, ListenerConfig(quality_weight=2.0, fit_weight=3.0))
    assert taste.utility(np.array([1.0]), np.array([1.0])) == pytest.approx([2.0 + 3.0])
    assert taste.utility(np.array([0.5]), np.array([2 / 3])) == pytest.approx([0.0])


def test_hidden_hiss_is_learnt(trained: Oracle, tmp_path: Path) -> None:
    waves, _, hiss = toy_clips(60, seed=1)
    opinion = trained.judge(listen(waves, 16_000))
    heard = opinion.hidden[:, HIDDEN.index("hiss")]
    assert np.corrcoef(heard, hiss.numpy())[0, 1] > 0.9
    path = save_module(tmp_path / "oracle.safetensors", trained, CONFIG)
    again, _ = load_module(path, OracleConfig, Oracle)
    assert np.array_equal(again.judge(listen(waves, 16_000)).hidden, opinion.hidden)
    concept = CONCEPTS[0]
    assert opinion.answers([[concept]] * 60) == [[has] for has in opinion.heard[:, 0].tolist()]
