from importlib.util import find_spec
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from attm_companion.world.arrangement import Line
from attm_companion.world.caption_check import INSTRUMENTS, confirm, instruments_named
from attm_companion.world.rendering import render
from attm_companion.world.tagger import SAMPLE_RATE_HZ, Tagger, load_tagger
from attm_companion.world.tf_checkpoint import read_checkpoint
from attm_core.errors import AssetError


@pytest.fixture(scope="module")
def heard() -> tuple[Tagger, tuple[str, ...]]:
    return load_tagger("MTT_musicnn")


def _melody(program: int, root: int) -> torch.Tensor:
    notes = np.array([[0.4 * i, 0.4, root + (0, 4, 7, 12, 7, 4)[i % 6]] for i in range(10)], float)
    wave = render([Line(program, 0.0, notes)], 4 * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
    return torch.from_numpy(wave)


def test_each_tag_answers_most_to_its_own_instrument(heard) -> None:
    tagger, tags = heard
    played = {"piano": (0, 60), "cello": (42, 48), "harpsichord": (6, 60), "flute": (73, 72)}
    probabilities, _ = tagger.tag(torch.stack([_melody(*sound) for sound in played.values()]))
    answers = probabilities[:, [tags.index(name) for name in played]]
    assert answers.argmax(dim=0).tolist() == [0, 1, 2, 3], answers


def test_answers_are_probabilities_and_do_not_depend_on_the_batch(heard) -> None:
    tagger, tags = heard
    waves = torch.stack([_melody(40, 67), _melody(0, 55), _melody(73, 72)])
    probabilities, embeddings = tagger.tag(waves)
    assert probabilities.shape == (3, len(tags)) and embeddings.shape == (3, 200)
    assert (probabilities > 0).all() and (probabilities < 1).all()
    alone, _ = tagger.tag(waves[2:])
    torch.testing.assert_close(alone, probabilities[2:], rtol=1e-4, atol=1e-6)


def test_the_mel_is_librosas(heard) -> None:
    given, wave = [], _melody(40, 67)
    hook = heard[0].norms[0].register_forward_pre_hook(lambda _, x: given.append(x[0][0, 0]))
    heard[0].tag(wave[None])
    hook.remove()
    size = {"n_fft": 512, "hop_length": 256, "n_mels": 96, "pad_mode": "reflect"}
    power = librosa.feature.melspectrogram(y=wave.numpy(), sr=SAMPLE_RATE_HZ, **size)
    np.testing.assert_allclose(given[0].T, np.log10(1 + 1e4 * power), atol=1e-4)


def test_the_real_checkpoints_differ_and_have_every_variable_of_the_network(heard) -> None:
    other, tags = load_tagger("MSD_musicnn")
    assert "female vocalists" in tags and "harpsichord" not in tags
    assert not torch.equal(other.dense[1].weight, heard[0].dense[1].weight)
    found = read_checkpoint(Path(find_spec("musicnn").origin).parent / "MTT_musicnn")
    weights = {k: v for k, v in found.items() if "Adam" not in k and "power" not in k}
    assert sum(v.size for v in weights.values()) == sum(
        v.numel() for k, v in Tagger().state_dict().items() if "tracked" not in k
    )
    assert found["batch_normalization_9/moving_variance"].min() > 0


def test_captions_name_tags() -> None:
    named = {
        "Electric piano, fretless bass and drums play softly.": {"drums"},
        "A slow waltz for fiddle, banjo and guitar, without voices.": {"violin"},
        "Nylon guitar and harpsichord with voices.": {"guitar", "harpsichord", "choir"},
    }
    assert {caption: instruments_named(caption) for caption in named} == named


def test_confirmation_by_hand() -> None:
    tags = list(INSTRUMENTS)
    captions = ["piano", "piano and drums", "flute"]
    probabilities = torch.full((3, len(tags)), 0.1)
    probabilities[0, tags.index("piano")] = 0.9
    probabilities[1, tags.index("flute")] = 0.8
    found = confirm(probabilities, tags, captions)
    assert set(found.index) == {"piano", "drums", "flute"}
    assert found.loc["piano", "auc"] == pytest.approx(0.75)  # one pair right, one a tie
    assert found.loc["flute", "auc"] == 0.25  # below the second clip, level with the first
    assert found.loc["piano", "clips"] == 2
    # Relative to their means, piano (0.27) is last but for nothing in clip 2: ten others are 1.
    assert found.loc["piano", "rank"] == pytest.approx((1 + 11) / 2)


def test_what_is_no_checkpoint_is_refused(tmp_path) -> None:
    with pytest.raises(AssetError, match="no readable checkpoint"):
        read_checkpoint(tmp_path)
    (tmp_path / ".index").write_bytes(b"nothing of the kind")
    (tmp_path / ".data-00000-of-00001").touch()
    with pytest.raises(AssetError, match="no sorted string table"):
        read_checkpoint(tmp_path)
