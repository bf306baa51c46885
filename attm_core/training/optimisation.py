"""How a model is trained: length, AdamW, schedule, clipping, precision, averages (III-D(b)).

Stage 1 as published: AdamW, lr 1e-4 constant after a 1,000-step warm-up, effective batch 64,
bf16. What the paper leaves open (betas, weight decay, ε, clipping) follows the public training
code of the backbone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from attm_core.bounds import require
from attm_core.errors import ConfigError
from attm_core.training.ema import SIGMA_RELS, gamma_of

_DECAY_POINTS = (0.8, 0.9)
_DECAY_FACTOR = 0.1


@dataclass(frozen=True)
class TrainConfig:
    """How `attm_core.training.loop.fit` trains; the defaults are those of Stage 1.

    After the warm-up, schedule ``"as_written"`` stays at ``lr``; ``"as_released"`` multiplies by
    0.1 at 80 % and again at 90 % of the run; ``"cosine"`` falls to zero. ``"bf16"`` is autocast
    where the device is fast at it; weights stay float32.

    Raises:
        ConfigError: a value is out of its range or unknown; the message names it.
    """

    n_steps: int = 200_000  # updates
    batch_size: int = 64  # items of an update, over all processes and accumulation steps
    lr: float = 1e-4  # at its peak
    warmup_steps: int = 1000  # linear, factor (k + 1)/(warmup_steps + 1) at step k
    # PAPER-DEVIATION: none by default (constant after warm-up, as Section III-D(b) says); the
    # released configuration steps down at 80 % and 90 % (K-5), kept as "as_released".
    schedule: Literal["as_written", "as_released", "cosine"] = "as_written"
    # PAPER-SILENT: betas, weight decay, ε and clipping are those of the public backbone's code.
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 1e-6
    eps: float | None = None  # None: 1e-6 under bf16 and 1e-8 otherwise
    clip_norm: float = 1.0  # largest gradient norm
    precision: Literal["fp32", "bf16"] = "bf16"
    accumulation: int = 1  # parts into which each process cuts its share of a batch
    save_every: int = 10_000  # steps between states on disk, validations and stored averages
    sigma_rels: tuple[float, ...] = SIGMA_RELS  # widths of the averages to track; empty for none

    def __post_init__(self) -> None:
        require(self, positive="n_steps batch_size lr clip_norm accumulation save_every")
        require(self, at_least_0="warmup_steps weight_decay", share="betas")
        require(self, schedule=("as_written", "as_released", "cosine"), precision=("fp32", "bf16"))
        if self.eps is not None:
            require(self, positive="eps")
        if self.warmup_steps and self.warmup_steps >= self.n_steps:
            raise ConfigError(f"warmup_steps {self.warmup_steps} must be below n_steps")
        for sigma_rel in self.sigma_rels:
            gamma_of(sigma_rel)


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
    return torch.optim.AdamW(
        [parameter for parameter in parameters if parameter.requires_grad],
        lr=config.lr,
        betas=config.betas,
        weight_decay=config.weight_decay,
        eps=eps,
        fused=True,
    )
