import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import training_toys as toys

from attm_core.configuration import CRPOConfig, NullConfig
from attm_core.errors import InputError
from attm_core.files import load_tensors
from attm_core.training.crpo import CRPOObjective, build_pairs, crpo, crpo_loss, preference_logit
from attm_core.training.loop import fit
from attm_core.training.run import Run


@pytest.fixture
def policy():
    model = toys.awake(toys.tiny_model("input_add"))
    model.set_latent_statistics(*toys.tiny_set().statistics())
    return model


def settings(n_steps: int = 12, beta: float = 2000.0, **changes) -> CRPOConfig:
    return CRPOConfig(
        n_prompts=8, n_per_prompt=3, s=2.0, beta=beta, training=toys.tiny_train(n_steps, **changes)
    )


@pytest.fixture
def pairs():
    """Winners with their text and score, and the latents of the losers."""
    winners, losers = (toys.tiny_set(16, seed=seed) for seed in (1, 2))
    return replace(winners, std=torch.zeros(16, 4, 3)), losers.mean


def test_pairs_are_the_best_and_the_worst_under_one_prompt():
    scores = np.array([[0.1, 0.5, 0.3], [0.2, 0.2, 0.2], [0.9, 0.1, np.nan], [0.4, 0.0, 0.4]])
    pairs = build_pairs(scores)
    assert pairs.prompts.tolist() == [0, 3]
    assert pairs.winners.tolist() == [1, 0]
    assert pairs.losers.tolist() == [0, 1]
    assert pairs.n_skipped == 2
    assert build_pairs(scores, min_gap=0.4).prompts.tolist() == []
    with pytest.raises(InputError, match="N ≥ 2"):
        build_pairs(scores[:, :1])


def test_equation_1_by_hand():
    losses = [torch.tensor([value]) for value in (1.0, 1.2, 1.001, 1.2005)]
    inside = preference_logit(*losses, beta=2000.0)
    # −½·2000·[(1.0 − 1.2) − (1.001 − 1.2005)] = −1000·(−0.2 + 0.1995) = 0.5
    assert inside.item() == pytest.approx(0.5, abs=2e-4)
    loss = crpo_loss(torch.tensor([0.5]), losses[0], lambda_fm=0.3)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-0.5)) + 0.3 * 1.0)


def test_the_first_term_is_ln_2_at_the_start(policy, pairs):
    with pytest.raises(InputError, match="16 winners do not match 5 losers"):
        CRPOObjective(policy, pairs[0], pairs[1][:5], settings())
    objective = CRPOObjective(policy, *pairs, settings(batch_size=8))
    losses = objective.losses(policy, objective.draw(0))
    assert losses["preference"].tolist() == pytest.approx([math.log(2)] * 8)
    torch.testing.assert_close(losses["loss"], math.log(2) + losses["winner_flow"])
    assert losses["winner_flow"].min() > 0
    losses["loss"].mean().backward()
    assert all(weight.grad is None for weight in objective.reference.parameters())


def test_both_sides_and_both_models_see_the_same_noise_time_and_conditions(policy, pairs):
    objective = CRPOObjective(policy, *pairs, settings(nulls=NullConfig(0.5, 0.5)))
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, x_t, t, conditions, s):
            seen.append((x_t, t, conditions.tokens, conditions.pooled, s))
            return policy(x_t, t, conditions, s)

    draw, objective.reference = objective.draw(2), Spy()
    objective.losses(Spy(), draw)
    for own, frozen in zip(*seen, strict=True):
        assert torch.equal(own, frozen)
    x_t, t, tokens, pooled, s = seen[0]
    for shared in (t, tokens, pooled, s):
        assert torch.equal(shared[:8], shared[8:])
    x_0 = [policy.normalize(latents[draw.rows]) for latents in (pairs[0].mean, pairs[1])]
    noise = [(x - (1 - draw.t[:, None, None]) * z) for x, z in zip(x_t.chunk(2), x_0, strict=True)]
    torch.testing.assert_close(noise[0], noise[1])
    assert (s == 0).sum() == 2 * draw.no_score.sum()


def test_training_prefers_the_winners(policy, pairs):
    config = settings(60, beta=50.0, nulls=NullConfig(0.0, 0.0))
    log = fit(policy, CRPOObjective(policy, *pairs, config), config.training).log
    assert log["preference"].iloc[0] == pytest.approx(math.log(2))
    assert log["preference"].iloc[-10:].mean() < 0.8 * math.log(2)
    assert log["implicit_accuracy"].iloc[-10:].mean() > 0.7


def test_the_stage_samples_ranks_pairs_and_trains_unless_all_fit_alike(policy, tmp_path):
    before = copy.deepcopy(policy)
    result = crpo(policy, toys.SAMPLING, toys.tiny_set(6), settings(), Run(tmp_path, seed=3))
    assert result.latents.shape == (8, 3, 4, 3)
    assert len(set(result.prompts)) == 8  # ten captions: none occurs twice
    assert result.clap == pytest.approx(result.latents[:, :, 0, 0].double().numpy())
    assert result.pairs.winners.tolist() == result.clap.argmax(axis=1).tolist()
    stored = load_tensors(tmp_path / "pairs.safetensors")
    rows = torch.arange(8)
    assert torch.equal(stored["mean"], result.latents[rows, result.pairs.winners])
    assert torch.equal(stored["losers"], result.latents[rows, result.pairs.losers])
    assert stored["pooled"][:, 0].tolist() == [float(prompt) for prompt in result.prompts]
    assert stored["score"].tolist() == [2.0] * 8
    assert result.log["preference"].iloc[0] == pytest.approx(math.log(2))
    assert np.isfinite(result.log["validation_loss"].iloc[-1])
    assert not torch.equal(before.final_layer.conv.weight, policy.final_layer.conv.weight)


def test_a_stopped_stage_keeps_its_samples_and_ends_the_same(policy, tmp_path):
    config = settings(beta=50.0)
    whole, cut, resumed = policy, copy.deepcopy(policy), copy.deepcopy(policy)
    wanted = crpo(whole, toys.SAMPLING, None, config, Run(tmp_path / "whole"))
    with toys.interrupted(8):
        crpo(cut, toys.SAMPLING, None, config, Run(tmp_path / "cut"))
    deaf = replace(toys.SAMPLING, generate=None, judge=None)
    got = crpo(resumed, deaf, None, config, Run(tmp_path / "cut"))
    assert toys.same_weights(whole, resumed)
    assert not toys.same_weights(whole, cut)
    assert got.log["loss"].tolist() == wanted.log["loss"].tolist()
    flat = replace(toys.SAMPLING, judge=lambda clips, captions: (np.zeros(24), np.zeros(24)))
    with pytest.raises(InputError, match="nothing to prefer"):
        crpo(policy, flat, None, settings(), Run(tmp_path))
