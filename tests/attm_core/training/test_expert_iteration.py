import numpy as np
import pytest
import torch

from attm_core.errors import InputError
from attm_core.training.expert_iteration import (
    ExpertIterationConfig,
    blend,
    expert_mixture,
    select_top_decile,
    train_expert_iteration,
    z_scores,
)
from attm_core.training.sft import SFTConfig


def test_z_scores_by_hand():
    assert z_scores(np.array([1.0, 2.0, 3.0])) == pytest.approx([-(1.5**0.5), 0.0, 1.5**0.5])
    assert z_scores(np.full(5, 0.1)).tolist() == [0.0] * 5


def test_reward_and_clap_count_equally_whatever_their_units():
    reward, clap = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.3, 0.1, 0.2, 0.0])
    assert blend(reward, clap) == pytest.approx(blend(100 * reward - 7, 5 * clap + 1))
    assert blend(reward, clap) == pytest.approx(blend(clap, reward))
    # z of reward −1.342 −0.447 0.447 1.342, of CLAP 1.342 −0.447 0.447 −1.342
    assert select_top_decile(reward, clap, keep=2).tolist() == [2, 0]


def test_the_best_come_first_and_ties_keep_their_order():
    score = np.array([1.0, 5.0, 3.0, 5.0, 0.0])
    assert select_top_decile(score, score, keep=3).tolist() == [1, 3, 2]


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


def test_experts_occur_five_times_in_the_mixture(make_set):
    mixture = expert_mixture(make_set(10), make_set(2, seed=1))
    assert mixture.copies().tolist() == [1] * 10 + [5] * 2


def test_the_published_stage_is_the_default():
    config = ExpertIterationConfig()
    runs = [(run.train.n_steps, run.train.optim.lr) for run in (config.mixture, config.polish)]
    assert runs == [(30_000, 1e-5), (5_000, 1e-6)]


def test_polish_goes_on_from_the_mixture_with_stage_1_statistics(
    make_model, make_set, make_train, tmp_path
):
    stage = SFTConfig(make_train(8), batch_size=4)
    model, train = make_model(), make_set()
    model.set_latent_statistics(*train.statistics())
    statistics = model.latent_mean.clone()
    config = ExpertIterationConfig(stage, stage)
    experts = make_set(4, seed=5)
    runs = train_expert_iteration(model, train, experts, None, config, tmp_path)
    assert [len(run.log) for run in runs] == [8, 8]
    assert [run.folder.name for run in runs] == ["mixture", "polish"]
    assert torch.equal(model.latent_mean, statistics)
    again = make_model()
    again.set_latent_statistics(*train.statistics())
    train_expert_iteration(again, train, experts, None, config, tmp_path)
    assert torch.equal(again.final_layer.conv.weight, model.final_layer.conv.weight)
