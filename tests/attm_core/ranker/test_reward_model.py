import pandas as pd
import pytest
import torch

from attm_core.errors import InputError
from attm_core.randomness import torch_generator
from attm_core.ranker import reward_model
from attm_core.ranker.reward_model import REWARD_COLUMNS, RewardModel, embed_audio, reward_columns
from attm_core.ranker.tunejury import TuneJuryHead


class FakeClap:
    width = 2

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.n_audio = 0

    def embed_text(self, texts):
        self.texts += texts
        return torch.tensor([[float(len(text)), 1.0] for text in texts])

    def embed_audio(self, waves, sample_rate_hz):
        self.n_audio += len(waves)
        rates = torch.full((len(waves),), float(sample_rate_hz))
        return torch.stack([waves.mean(dim=(1, 2)), rates], dim=1)


class FakeMert:
    width = 1

    def embed_audio(self, waves, sample_rate_hz):
        return waves.amax(dim=(1, 2))[:, None]


def head(seed: int = 0) -> TuneJuryHead:
    return TuneJuryHead(2, 1, (4,), generator=torch_generator(seed, "head"))


def make_model(*seeds: int, **calibration: float) -> RewardModel:
    return RewardModel(
        FakeClap(), FakeMert(), [head(seed) for seed in seeds or (0,)], **calibration
    )


WAVES = torch.arange(15.0).reshape(5, 1, 3)


def test_features_are_those_of_the_encoders():
    model = make_model()
    assert not model.features(WAVES, 7).clap_text.any()
    features = model.features(WAVES, 7, ["abc", "", "ab", "abc", ""])
    assert model.clap.texts == ["ab", "abc"], "each prompt once"
    assert features.clap_audio.tolist() == [[mean, 7.0] for mean in (1.0, 4.0, 7.0, 10.0, 13.0)]
    assert features.mert[:, 0].tolist() == [2.0, 5.0, 8.0, 11.0, 14.0]
    text = [[3.0, 1.0], [0.0, 0.0], [2.0, 1.0], [3.0, 1.0], [0.0, 0.0]]
    assert features.clap_text.tolist() == text
    stereo = torch.cat([WAVES + 1, WAVES - 1], dim=1)  # channels are averaged
    assert torch.equal(embed_audio(FakeClap(), stereo, 7), features.clap_audio)


def test_score_is_the_head_on_the_features_for_any_batch_size(monkeypatch):
    prompts = ["x", "yy", "", "x", "zzz"]
    model = make_model()
    scores = model.score(WAVES, 7, prompts)
    features = model.features(WAVES, 7, prompts)
    assert torch.equal(scores, head().eval().score(features).double())
    assert not scores.requires_grad
    model.heads[0].train()  # scoring must not use batch statistics
    assert torch.allclose(model.score(WAVES[3:4], 7, prompts[3:4]), scores[3:4])
    monkeypatch.setattr(reward_model, "_ENCODE_BATCH", 1)
    assert torch.allclose(make_model().score(WAVES, 7, prompts), scores)


def test_an_ensemble_is_the_mean_of_its_heads_and_then_calibrated():
    model = make_model()
    audio = embed_audio(model.clap, WAVES, 7)  # a caller's embeddings are taken, not made twice
    assert torch.equal(model.score(WAVES, 7, None, audio), make_model().score(WAVES, 7))
    assert model.clap.n_audio == 5
    one, other = (make_model(seed).score(WAVES, 7) for seed in (0, 1))
    both = make_model(0, 1, scale=2.0, offset=-3.0).score(WAVES, 7)
    torch.testing.assert_close(both, (one + other) - 3.0)


def test_wrong_inputs_are_refused():
    model = make_model()
    with pytest.raises(InputError, match="5 clips need as many prompts"):
        model.score(WAVES, 7, ["a", "b"])
    with pytest.raises(InputError, match="5 clips need as many prompts and embeddings"):
        model.score(WAVES, 7, None, torch.zeros(2, 2))
    with pytest.raises(InputError, match=r"waves must have shape \(B, C, S\)"):
        model.score(WAVES[0], 7)
    with pytest.raises(InputError, match=r"reads \(3, 1, 3\), the encoders give \(2, 1, 2\)"):
        RewardModel(FakeClap(), FakeMert(), [TuneJuryHead(3, 1, (4,))])
    with pytest.raises(InputError, match="at least one head"):
        RewardModel(FakeClap(), FakeMert(), [])


TABLE = pd.DataFrame({"piece_id": ["x", "y", "x"]}, index=[5, 6, 7])


def test_columns_by_hand():
    rewards = reward_columns(TABLE, [1.0, 4.0, 2.0], [0.5, 0.25, 0.0])
    assert tuple(rewards.columns) == REWARD_COLUMNS
    assert rewards.index.tolist() == [5, 6, 7]
    assert rewards["reward_score"].tolist() == [1.0, 4.0, 2.0]
    assert rewards["instrumental_reward_score"].tolist() == [0.5, 0.25, 0.0]
    assert rewards["track_reward_score"].tolist() == [1.5, 4.0, 1.5]


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [1.0, float("nan"), 2.0]])
def test_bad_scores_are_refused(wrong):
    with pytest.raises(InputError, match="mix scores must be 3 finite numbers"):
        reward_columns(TABLE, wrong, [0.0, 0.0, 0.0])
    with pytest.raises(InputError, match="no column 'track'"):
        reward_columns(TABLE, [0.0] * 3, [0.0] * 3, track_column="track")
