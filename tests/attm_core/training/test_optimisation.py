from dataclasses import replace

import pytest
from torch import nn

from attm_core.configuration import TrainConfig
from attm_core.training.optimisation import learning_rate, make_optimizer


def test_warm_up_by_hand():
    config = TrainConfig(100, lr=1.0, warmup_steps=4)
    rates = [learning_rate(config, step) for step in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_as_written_stays_constant_and_as_released_steps_down():
    written = TrainConfig(100, lr=1.0, warmup_steps=10)
    released = replace(written, schedule="as_released")
    assert {learning_rate(written, step) for step in range(10, 100)} == {1.0}
    steps = [9, 10, 89, 90, 99, 100]
    rates = [learning_rate(released, step) for step in steps]
    assert rates == pytest.approx([10 / 11, 1.0, 1.0, 0.1, 0.1, 0.01])


def test_a_cosine_falls_from_the_peak_to_zero():
    config = TrainConfig(100, lr=1.0, warmup_steps=20, schedule="cosine")
    assert learning_rate(config, 20) == 1.0
    assert learning_rate(config, 60) == pytest.approx(0.5)
    assert learning_rate(config, 99) < 1e-3


def test_optimizer_takes_the_trainable_weights_and_eps_follows_precision():
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    optimizer = make_optimizer(module.parameters(), TrainConfig(precision="fp32"))
    assert [p is module.weight for g in optimizer.param_groups for p in g["params"]] == [True]
    assert optimizer.defaults["eps"] == 1e-8
    assert optimizer.defaults["betas"] == (0.9, 0.95)
    assert make_optimizer(module.parameters(), TrainConfig()).defaults["eps"] == 1e-6
