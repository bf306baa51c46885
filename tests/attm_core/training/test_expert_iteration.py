from dataclasses import replace

import numpy as np
import pytest
import torch
from training_toys import SAMPLING, interrupted, same_weights, tiny_model, tiny_set, tiny_train

from attm_core.configuration import ExpertIterationConfig
from attm_core.errors import InputError
from attm_core.files import load_tensors
from attm_core.training.expert_iteration import (
    blend,
    expert_iteration,
    select,
    select_top_decile,
    z_scores,
)
from attm_core.training.run import Run

ARMS, LABELS = ("none", "top", "random"), ("own", "sampling", "null")


def test_reward_and_clap_count_equally_whatever_their_units():
    assert z_scores(np.array([1.0, 2.0, 3.0])) == pytest.approx([-(1.5**0.5), 0.0, 1.5**0.5])
    assert z_scores(np.full(5, 0.1)).tolist() == [0.0] * 5
    reward, clap = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.3, 0.1, 0.2, 0.0])
    assert blend(reward, clap) == pytest.approx(blend(100 * reward - 7, 5 * clap + 1))
    assert blend(reward, clap) == pytest.approx(blend(clap, reward))
    # z of reward −1.342 −0.447 0.447 1.342, of CLAP 1.342 −0.447 0.447 −1.342
    assert select_top_decile(reward, clap, keep=2).tolist() == [2, 0]
    tied = np.array([1.0, 5.0, 3.0, 5.0, 0.0])
    assert select_top_decile(tied, tied, keep=3).tolist() == [1, 3, 2]


@pytest.mark.parametrize(
    ("reward", "clap", "keep", "message"),
    [
        ([1.0, 2.0], [1.0], 1, "both be"),
        ([1.0, 2.0], [1.0, 2.0], 3, "cannot keep 3 of 2"),
        ([1.0, np.nan], [1.0, 2.0], 1, "not finite"),
    ],
)
def test_bad_columns_are_refused(reward, clap, keep, message):
    with pytest.raises(InputError, match=message):
        select_top_decile(np.array(reward), np.array(clap), keep)


def test_controls_keep_as_many_at_random_or_none():
    score = np.arange(50.0)
    picks = {k: select(score, score, ExpertIterationConfig(50, 5, keep=k), 1) for k in ARMS}
    assert picks["top"].tolist() == [49, 48, 47, 46, 45]
    assert len(set(picks["random"].tolist()) - set(range(50))) == 0
    assert len(set(picks["random"].tolist())) == 5 and set(picks["random"]) != set(picks["top"])
    assert picks["none"].tolist() == []


def stage_1():
    model = tiny_model()
    model.set_latent_statistics(*tiny_set().statistics())
    return model


def settings(**changes) -> ExpertIterationConfig:
    stages = {"finetune": tiny_train(8), "polish": tiny_train(8, batch_size=4)}
    return ExpertIterationConfig(12, 4, **stages, **changes)


def test_the_stage_samples_judges_keeps_and_trains(tmp_path):
    model, valid = stage_1(), tiny_set(6, seed=1)
    statistics = model.latent_mean.clone()
    config = settings()
    result = expert_iteration(model, SAMPLING, tiny_set(), valid, config, Run(tmp_path))
    assert len(result.prompts) == 12 and len(set(result.prompts)) == 10
    assert result.reward == pytest.approx(result.latents.mean(dim=(1, 2)).numpy())
    assert result.kept.tolist() == select_top_decile(result.reward, result.clap, 4).tolist()
    stored = load_tensors(tmp_path / "experts.safetensors")
    assert torch.equal(stored["mean"], result.latents[result.kept])
    assert stored["score"].numpy() == pytest.approx(result.reward[result.kept])
    assert stored["pooled"][:, 0].tolist() == [float(result.prompts[row]) for row in result.kept]
    assert {name: len(log) for name, log in result.logs.items()} == {"finetune": 8, "polish": 8}
    assert torch.equal(model.latent_mean, statistics)
    start = result.logs["polish"]["validation_loss"].dropna().iloc[0]
    assert start != result.logs["finetune"]["validation_loss"].dropna().iloc[0]


def test_a_stopped_stage_goes_on_with_the_same_experts(tmp_path):
    train, config = tiny_set(), settings()
    whole, cut, resumed = stage_1(), stage_1(), stage_1()
    expert_iteration(whole, SAMPLING, train, None, config, Run(tmp_path / "whole"))
    with interrupted(6, batch_size=4):
        expert_iteration(cut, SAMPLING, train, None, config, Run(tmp_path / "cut"))
    deaf = replace(SAMPLING, generate=None, judge=None)
    expert_iteration(resumed, deaf, train, None, config, Run(tmp_path / "cut"))
    assert same_weights(whole, resumed) and not same_weights(whole, cut)


def test_the_arms_train_as_long_on_other_clips_under_the_label_that_is_asked_for(tmp_path):
    models = {}
    for keep, label in zip(ARMS, LABELS, strict=True):
        models[keep] = stage_1()
        config, run = settings(keep=keep, label=label), Run(tmp_path / keep)
        result = expert_iteration(models[keep], SAMPLING, tiny_set(), None, config, run)
        score = load_tensors(tmp_path / keep / "experts.safetensors")["score"].tolist()
        n = len(result.kept)
        wanted = {"own": result.reward[result.kept], "sampling": [2.0] * n, "null": [0.0] * n}
        assert score == pytest.approx(wanted[label])
        assert n == (0 if keep == "none" else 4)
        assert [len(log) for log in result.logs.values()] == [8, 8]
    assert not same_weights(models["top"], models["random"])
    assert not same_weights(models["top"], models["none"])
