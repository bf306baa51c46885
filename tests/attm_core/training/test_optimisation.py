import math

import pytest
from torch import nn

from attm_core.configuration import TrainConfig
from attm_core.training.optimisation import learning_rate, make_optimizer


@pytest.mark.parametrize(
    ("schedule", "warmup", "rates"),
    [
        ("as_written", 4, {0: 0.2, 1: 0.4, 2: 0.6, 3: 0.8} | dict.fromkeys(range(4, 100), 1.0)),
        ("as_released", 10, {9: 10 / 11, 10: 1.0, 89: 1.0, 90: 0.1, 99: 0.1, 100: 0.01}),
        ("cosine", 20, {20: 1.0, 60: 0.5, 99: (1 + math.cos(math.pi * 79 / 80)) / 2}),
    ],
)
def test_schedules_by_hand(schedule, warmup, rates):
    config = TrainConfig(100, lr=1.0, warmup_steps=warmup, schedule=schedule)
    assert {step: learning_rate(config, step) for step in rates} == pytest.approx(rates)


def test_optimizer_takes_the_trainable_weights_and_eps_follows_precision():
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    optimizer = make_optimizer(module.parameters(), TrainConfig(precision="fp32"))
    assert [p is module.weight for g in optimizer.param_groups for p in g["params"]] == [True]
    assert optimizer.defaults["eps"] == 1e-8
    assert optimizer.defaults["betas"] == (0.9, 0.95)
    assert make_optimizer(module.parameters(), TrainConfig()).defaults["eps"] == 1e-6
