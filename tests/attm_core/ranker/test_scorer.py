"""The reward model: features in order, empty prompts as zeros, batches that do not matter."""

import pytest
import torch

from attm_core.errors import InputError
from attm_core.randomness import torch_generator
from attm_core.ranker.scorer import RewardModel
from attm_core.ranker.tunejury import TuneJuryHead


class FakeClap:
    width = 2

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed_text(self, texts):
        self.texts += texts
        return torch.tensor([[float(len(text)), 1.0] for text in texts])

    def embed_audio(self, waves, sample_rate_hz):
        return torch.stack(
            [waves.mean(dim=1), waves.new_full((len(waves),), sample_rate_hz)], dim=1
        )


class FakeMert:
    width = 1

    def embed_audio(self, waves, sample_rate_hz):
        return waves.amax(dim=1, keepdim=True)


def make_model(batch_size: int = 2) -> RewardModel:
    head = TuneJuryHead(2, 1, (4,), generator=torch_generator(0, "head"))
    return RewardModel(FakeClap(), FakeMert(), head, batch_size)


WAVES = torch.arange(15.0).reshape(5, 3)


def test_features_are_those_of_the_encoders():
    features = make_model().features(WAVES, 7, ["abc", "", "ab", "abc", ""])
    assert features.clap_audio.tolist() == [
        [1.0, 7.0],
        [4.0, 7.0],
        [7.0, 7.0],
        [10.0, 7.0],
        [13.0, 7.0],
    ]
    assert features.mert[:, 0].tolist() == [2.0, 5.0, 8.0, 11.0, 14.0]
    assert features.clap_text.tolist() == [
        [3.0, 1.0],
        [0.0, 0.0],
        [2.0, 1.0],
        [3.0, 1.0],
        [0.0, 0.0],
    ]


def test_no_prompt_is_zeros_and_asks_the_text_encoder_nothing():
    model = make_model()
    assert not model.features(WAVES, 7).clap_text.any()
    assert model.clap.texts == []


def test_each_distinct_prompt_is_encoded_once():
    model = make_model()
    model.features(WAVES, 7, ["b", "a", "b", "c", "a"])
    assert model.clap.texts == ["a", "b", "c"]


def test_score_is_the_head_on_the_features_for_any_batch_size():
    prompts = ["x", "yy", "", "x", "zzz"]
    one = make_model(1).score(WAVES, 7, prompts)
    many = make_model(5)
    assert torch.allclose(one, many.score(WAVES, 7, prompts))
    features = many.features(WAVES, 7, prompts)
    assert torch.equal(many.score(WAVES, 7, prompts), many.head.eval().score(features))
    assert one.shape == (5,)
    assert not one.requires_grad


def test_a_clip_scores_the_same_alone_and_in_company():
    model = make_model()
    model.head.train()  # scoring must not use batch statistics
    assert torch.allclose(model.score(WAVES, 7)[2:3], model.score(WAVES[2:3], 7))


def test_wrong_inputs_are_refused():
    model = make_model()
    with pytest.raises(InputError, match="2 prompts for 5 clips"):
        model.score(WAVES, 7, ["a", "b"])
    with pytest.raises(InputError, match=r"waves must have shape \(B, S\)"):
        model.score(WAVES[0], 7)
    with pytest.raises(InputError, match=r"reads \(3, 1, 3\), the encoders give \(2, 1, 2\)"):
        RewardModel(FakeClap(), FakeMert(), TuneJuryHead(3, 1, (4,)))
