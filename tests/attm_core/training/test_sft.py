import pytest
import torch
from training_toys import tiny_model, tiny_set, tiny_train

from attm_core.configuration import SFTConfig
from attm_core.errors import ConfigError
from attm_core.training.ema import _synthesize
from attm_core.training.run import Run
from attm_core.training.sft import SFTObjective, sft, validation_loss


def test_training_lowers_the_validation_loss(tmp_path):
    model, train, valid = tiny_model(), tiny_set(), tiny_set(11, seed=1)
    model.set_latent_statistics(*train.statistics())
    before = validation_loss(model, valid)
    result = sft(model, train, valid, tiny_train(40), Run(tmp_path))
    after = result.log["validation_loss"].iloc[-1]
    assert after == validation_loss(model, valid) < 0.8 * before
    assert abs(after - validation_loss(model, valid, batch_size=3)) < 1e-6
    assert after != validation_loss(model, valid, seed=1)


def test_a_step_is_a_function_of_seed_and_step():
    clips = tiny_set()
    one, other = (SFTObjective(tiny_model(), clips, SFTConfig(batch_size=8)) for _ in range(2))
    one.draw(0)
    assert torch.equal(one.draw(7).noise, other.draw(7).noise)
    assert torch.equal(one.draw(7).rows, other.draw(7).rows)
    assert not torch.equal(one.draw(7).noise, one.draw(8).noise)
    assert not torch.equal(one.draw(7).noise, one.draw(7).epsilon)


def test_the_untrained_loss_is_that_of_zero_velocity():
    model, clips = tiny_model(), tiny_set()
    model.set_latent_statistics(*clips.statistics())
    objective = SFTObjective(model, clips, SFTConfig(batch_size=8))
    draw = objective.draw(0)
    x_0 = model.normalize(clips.at(draw.rows, draw.epsilon).latents)
    wanted = (draw.noise - x_0).square().mean(dim=(1, 2))
    torch.testing.assert_close(objective.losses(model, draw)["loss"], wanted)


def test_a_score_head_learns_from_the_scores(tmp_path):
    """The clips' level is their score, so s must move the velocity of a trained model."""
    model, clips = tiny_model("input_add"), tiny_set(64)
    sft(model, clips, None, tiny_train(80, batch_size=16), Run(tmp_path))
    batch = clips.at(torch.arange(8), torch.zeros(8, 4, 3))
    x_t, t = torch.zeros(8, 4, 3), torch.full((8,), 0.9)
    with torch.no_grad():
        low, high = (model(x_t, t, batch.conditions, torch.full((8,), s)) for s in (-1.0, 1.0))
    # v = x_1 − x_0 falls as the data level rises
    assert (high - low).mean() < -0.2


def test_a_training_may_end_with_its_averaged_weights(tmp_path):
    raw, averaged = tiny_model(), tiny_model()
    sft(raw, tiny_set(), None, tiny_train(), Run(tmp_path / "raw"))
    sft(averaged, tiny_set(), None, tiny_train(sigma_rel=0.1), Run(tmp_path / "averaged"))
    wanted = _synthesize(tmp_path / "raw" / "ema", 0.1)
    for name, weight in averaged.named_parameters():
        if name in wanted:
            assert torch.equal(weight, wanted[name])
    assert not torch.equal(raw.final_layer.conv.weight, averaged.final_layer.conv.weight)
    for run, tracked in ((Run(), (0.1,)), (Run(tmp_path / "untracked"), ())):
        with pytest.raises(ConfigError, match="a run with a folder"):
            sft(raw, tiny_set(), None, tiny_train(sigma_rel=0.1, sigma_rels=tracked), run)
