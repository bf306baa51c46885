import pytest
import torch
from torch import nn

from attm_core.errors import ConfigError
from attm_core.training.optimisation import OptimConfig, autocast, learning_rate, make_optimizer


def test_warm_up_by_hand():
    config = OptimConfig(lr=1.0, warmup_steps=4)
    rates = [learning_rate(config, step, 100) for step in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_as_written_stays_constant_and_as_released_steps_down():
    written = OptimConfig(lr=1.0, warmup_steps=10)
    released = OptimConfig(lr=1.0, warmup_steps=10, schedule="as_released")
    assert {learning_rate(written, step, 100) for step in range(10, 100)} == {1.0}
    steps = [9, 10, 89, 90, 99, 100]
    rates = [learning_rate(released, step, 100) for step in steps]
    assert rates == pytest.approx([10 / 11, 1.0, 1.0, 0.1, 0.1, 0.01])


def test_optimizer_takes_the_trainable_weights_and_eps_follows_precision():
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    optimizer = make_optimizer(module.parameters(), OptimConfig(precision="fp32"))
    assert [p is module.weight for g in optimizer.param_groups for p in g["params"]] == [True]
    assert optimizer.defaults["eps"] == 1e-8
    assert optimizer.defaults["betas"] == (0.9, 0.95)
    assert make_optimizer(module.parameters(), OptimConfig()).defaults["eps"] == 1e-6


def test_autocast_is_bfloat16_only_where_asked(processor):
    processor(avx512_bf16=True)
    x = torch.ones(2, 2)
    with autocast(OptimConfig(precision="bf16"), x.device):
        assert (x @ x).dtype == torch.bfloat16
    with autocast(OptimConfig(precision="fp32"), x.device):
        assert (x @ x).dtype == torch.float32


@pytest.mark.parametrize(
    "changes",
    [{"lr": 0.0}, {"accumulation": 0}, {"schedule": "cosine"}, {"precision": "fp16"}],
)
def test_bad_settings_are_refused(changes):
    with pytest.raises(ConfigError, match=r"positive|schedule|precision"):
        OptimConfig(**changes)
