import pytest
import torch
from beartype import beartype
from jaxtyping import TypeCheckError, jaxtyped
from training_toys import tiny_model, tiny_set

from attm_core.configuration import NullConfig
from attm_core.randomness import torch_generator
from attm_core.training import flow_matching
from attm_core.training.crpo import crpo_loss, preference_logit


def test_time_runs_from_data_to_noise():
    data, noise = torch.full((3, 2, 2), 10.0), torch.full((3, 2, 2), -2.0)
    path = flow_matching.interpolate(data, noise, torch.tensor([0.0, 0.25, 1.0]))
    assert path[:, 0, 0].tolist() == [10.0, 7.0, -2.0]


def test_loss_by_hand_is_a_mean_over_time_and_channels_of_each_sample():
    data, noise = torch.zeros(2, 2, 1), torch.ones(2, 2, 1)
    velocity = torch.tensor([[[1.0], [1.0]], [[3.0], [0.0]]])
    assert flow_matching.flow_matching_loss(velocity, data, noise).tolist() == [0.0, (4 + 1) / 2]
    assert flow_matching.flow_matching_loss(velocity.bfloat16(), data, noise).dtype == torch.float32


def test_times_are_logit_normal():
    t = flow_matching.sample_time(20_000, torch_generator(0, "time"))
    logits = torch.logit(t)
    assert logits.mean().item() == pytest.approx(0.0, abs=0.03)
    assert logits.std().item() == pytest.approx(1.0, abs=0.03)
    assert 0 < t.min() < t.max() < 1


def test_text_and_score_are_dropped_independently_at_their_rates():
    config = NullConfig(text_prob=0.2, score_prob=0.1)
    text, score = flow_matching.draw_nulls(config, 50_000, torch_generator(0, "nulls"))
    shares = [drawn.float().mean().item() for drawn in (text, score, text & score)]
    assert shares == pytest.approx([0.2, 0.1, 0.02], abs=0.005)
    config = NullConfig(score_prob=0.3, score_per="batch")  # as released, of whole batches
    draws = [
        flow_matching.draw_nulls(config, 16, torch_generator(step, "nulls"))[1]
        for step in range(400)
    ]
    assert all(draw.all() or not draw.any() for draw in draws)
    assert sum(bool(draw.all()) for draw in draws) / 400 == pytest.approx(0.3, abs=0.08)


def test_tokens_and_pooled_text_are_nulled_together_and_the_null_score_is_zero():
    conditions = tiny_set(3).conditions(torch.arange(3))
    nulled = flow_matching.null_text(tiny_model(), conditions, torch.tensor([False, True, False]))
    assert torch.equal(nulled.tokens[0], conditions.tokens[0])
    assert (nulled.tokens[1] == -1).all()
    assert (nulled.pooled[1] == -1).all()
    assert torch.equal(nulled.pooled[2], conditions.pooled[2])
    dropped, score = torch.tensor([True, False]), torch.tensor([2.0, 1.5])
    nulled = flow_matching.null_score(tiny_model(), score, dropped)
    assert nulled is not None
    assert nulled.tolist() == [0.0, 1.5]
    assert flow_matching.null_score(tiny_model("none"), score, dropped) is None


BOX, ONE, SHORT = torch.zeros(2, 4, 3), torch.zeros(2), torch.zeros(3)


@pytest.mark.parametrize(
    ("function", "right", "wrong"),
    [
        (flow_matching.interpolate, (BOX, BOX, ONE), (BOX, BOX, SHORT)),
        (flow_matching.flow_matching_loss, (BOX, BOX, BOX), (BOX, BOX, BOX[:, :2])),
        (preference_logit, (ONE, ONE, ONE, ONE), (ONE, ONE, ONE, SHORT)),
        (crpo_loss, (ONE, ONE), (ONE, SHORT)),
    ],
)
def test_annotated_shapes_hold_and_are_looked_at(function, right, wrong):
    checked = jaxtyped(typechecker=beartype)(function)
    checked(*right)
    with pytest.raises(TypeCheckError, match=r"type-?checking|Type-check"):
        checked(*wrong)
