"""How a step is taken: AdamW, warm-up and schedule, clipping, precision (Section III-D(b)).

Stage 1 as published: AdamW, lr 1e-4 constant after a 1,000-step warm-up, effective batch 64,
bf16. What the paper leaves open (betas, weight decay, ε, clipping) follows the public training
code of the backbone.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from attm_core.errors import ConfigError
from attm_core.precision import fast_autocast

DECAY_POINTS = (0.8, 0.9)
DECAY_FACTOR = 0.1


@dataclass(frozen=True)
class OptimConfig:
    """Optimiser settings of one stage; the defaults are those of Stage 1.

    Attributes:
        lr: peak learning rate.
        warmup_steps: steps of linear warm-up, factor (k + 1)/(warmup_steps + 1) at step k.
        schedule: ``"as_written"`` stays at ``lr``; ``"as_released"`` multiplies by 0.1 at 80 % and
            again at 90 % of the run, counted after the warm-up.
        betas, weight_decay: of AdamW.
        eps: of AdamW; None means 1e-6 under bf16 and 1e-8 otherwise.
        clip_norm: largest gradient norm.
        precision: ``"bf16"`` runs the forward pass under autocast where the device is fast at it;
            weights stay float32.
        accumulation: parts into which each process cuts its share of a batch.

    Raises:
        ConfigError: a value is out of its range or unknown.
    """

    lr: float = 1e-4
    warmup_steps: int = 1000
    # PAPER-DEVIATION: none by default (constant after warm-up, as Section III-D(b) says); the
    # released configuration steps down at 80 % and 90 % (K-5), kept as "as_released".
    schedule: Literal["as_written", "as_released"] = "as_written"
    # PAPER-SILENT: betas, weight decay, ε and clipping are those of the public backbone's code.
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 1e-6
    eps: float | None = None
    clip_norm: float = 1.0
    precision: Literal["fp32", "bf16"] = "bf16"
    accumulation: int = 1

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.clip_norm <= 0 or self.warmup_steps < 0 or self.accumulation < 1:
            raise ConfigError("lr, clip_norm and accumulation are positive, warmup_steps is ≥ 0")
        if self.schedule not in ("as_written", "as_released"):
            raise ConfigError(f"schedule is as_written or as_released, not {self.schedule!r}")
        if self.precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision is fp32 or bf16, not {self.precision!r}")


def learning_rate(config: OptimConfig, step: int, n_steps: int) -> float:
    """Learning rate of step ``step`` (from 0) of a run of ``n_steps``."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "as_written":
        return config.lr
    after = step - config.warmup_steps
    passed = sum(after >= int(point * n_steps) for point in DECAY_POINTS)
    return config.lr * DECAY_FACTOR**passed


def make_optimizer(parameters: Iterable[nn.Parameter], config: OptimConfig) -> torch.optim.AdamW:
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


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group the learning rate ``lr``."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def autocast(config: OptimConfig, device: torch.device) -> AbstractContextManager[object]:
    """The precision in which the forward pass runs on ``device``."""
    return fast_autocast(device.type, config.precision == "bf16")
