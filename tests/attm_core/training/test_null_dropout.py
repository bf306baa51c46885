import pytest
import torch

from attm_core.configuration import NullConfig
from attm_core.errors import ConfigError
from attm_core.randomness import torch_generator
from attm_core.training.flow_matching import draw_nulls, null_score, null_text


def test_text_and_score_are_dropped_independently_at_their_rates():
    config = NullConfig(text_prob=0.2, score_prob=0.1)
    text, score = draw_nulls(config, 50_000, torch_generator(0, "nulls"))
    assert text.float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert score.float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert (text & score).float().mean().item() == pytest.approx(0.02, abs=0.005)
    with pytest.raises(ConfigError, match="score_per"):
        NullConfig(score_per="step")


def test_the_released_reading_drops_whole_batches():
    config = NullConfig(score_prob=0.3, score_per="batch")
    draws = [draw_nulls(config, 16, torch_generator(step, "nulls"))[1] for step in range(400)]
    assert all(draw.all() or not draw.any() for draw in draws)
    assert sum(bool(draw.all()) for draw in draws) / 400 == pytest.approx(0.3, abs=0.08)


def test_tokens_and_pooled_text_are_nulled_together(make_model, make_set):
    conditions = make_set(3).conditions(torch.arange(3))
    nulled = null_text(make_model(), conditions, torch.tensor([False, True, False]))
    assert torch.equal(nulled.tokens[0], conditions.tokens[0])
    assert (nulled.tokens[1] == -1).all()
    assert (nulled.pooled[1] == -1).all()
    assert torch.equal(nulled.pooled[2], conditions.pooled[2])


def test_the_null_score_is_the_number_zero_and_a_baseline_takes_none(make_model):
    dropped, score = torch.tensor([True, False]), torch.tensor([2.0, 1.5])
    nulled = null_score(make_model(), score, dropped)
    assert nulled is not None
    assert nulled.tolist() == [0.0, 1.5]
    assert null_score(make_model("none"), score, dropped) is None
