"""Learning rate and AdamW of every training, as `TrainConfig` sets them (Section III-D(b))."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from attm_core.configuration import TrainConfig

_DECAY_POINTS = (0.8, 0.9)
_DECAY_FACTOR = 0.1


def learning_rate(config: TrainConfig, step: int) -> float:
    """Learning rate of step ``step`` (from 0)."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / (config.warmup_steps + 1)
    after = step - config.warmup_steps
    if config.schedule == "cosine":
        share = after / (config.n_steps - config.warmup_steps)
        return config.lr * (0.5 + 0.5 * math.cos(math.pi * share))
    if config.schedule == "as_released":
        passed = sum(after >= int(point * config.n_steps) for point in _DECAY_POINTS)
        return config.lr * _DECAY_FACTOR**passed
    return config.lr


def make_optimizer(parameters: Iterable[nn.Parameter], config: TrainConfig) -> torch.optim.AdamW:
    """AdamW over the trainable ones of ``parameters``, one group, fused."""
    eps = config.eps if config.eps is not None else (1e-6 if config.precision == "bf16" else 1e-8)
    weights = [parameter for parameter in parameters if parameter.requires_grad]
    decay = config.weight_decay
    return torch.optim.AdamW(weights, config.lr, config.betas, eps, decay, fused=True)
