"""What the training loop is given and what it returns: objective, configuration, result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Tensor, nn

from attm_core.errors import AttmError, ConfigError
from attm_core.training.ema import SIGMA_RELS
from attm_core.training.optimisation import OptimConfig

if TYPE_CHECKING:
    import pandas as pd

Draw = TypeVar("Draw")


class TrainingError(AttmError):
    """Training cannot go on: a loss or gradient is no longer a number."""


@runtime_checkable
class Objective(Protocol[Draw]):
    """What a stage minimises."""

    batch_size: int

    def describe(self) -> Mapping[str, Any]:
        """Configuration and data, as JSON values: a run resumes only under the same ones."""
        ...

    def draw(self, step: int) -> Draw:
        """All that is random in step ``step``: a dataclass of tensors with batch axis first."""
        ...

    def losses(self, velocity: nn.Module, draw: Draw) -> Mapping[str, Tensor]:
        """``"loss"`` (B,), which is minimised, and further values (B,) to log.

        ``velocity`` is the model, perhaps wrapped for several processes.
        """
        ...


@dataclass(frozen=True)
class TrainConfig:
    """Length and bookkeeping of a run.

    Attributes:
        n_steps: updates.
        optim: how an update is made.
        save_every: steps between states on disk (at most this much is lost by a kill).
        validate_every: steps between validations; 0 validates at the end only.
        sigma_rels: widths of the averages to track; empty for none.
        ema_every: steps between updates of the averages.
        snapshot_every: steps between stored averages; 0 stores those of the end only.

    Raises:
        ConfigError: a number is out of range.
    """

    n_steps: int
    optim: OptimConfig = field(default_factory=OptimConfig)
    save_every: int = 10_000
    validate_every: int = 0
    sigma_rels: tuple[float, ...] = SIGMA_RELS
    ema_every: int = 1
    snapshot_every: int = 10_000

    def __post_init__(self) -> None:
        if self.n_steps < 1 or self.save_every < 1 or self.ema_every < 1:
            raise ConfigError("n_steps, save_every and ema_every are at least 1")
        if self.validate_every < 0 or self.snapshot_every < 0:
            raise ConfigError("validate_every and snapshot_every are at least 0")
        if any(n % self.ema_every for n in (self.n_steps, self.snapshot_every)):
            raise ConfigError("n_steps and snapshot_every are multiples of ema_every")


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind, besides the trained model itself.

    Attributes:
        log: a row a step: ``step`` (from 1), ``loss``, ``grad_norm``, further losses, and
            ``validation_loss`` (NaN where it was not measured).
        folder: with ``state.safetensors``, ``log.csv`` and the averages in ``ema/``.
    """

    log: pd.DataFrame
    folder: Path

    @property
    def ema_folder(self) -> Path:
        """Where the averaged weights are; see `attm_core.training.ema.load_ema`."""
        return self.folder / "ema"


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are."""
    return next(model.parameters()).device


def take_part(draw: Draw, index: int, n_parts: int) -> Draw:
    """Part ``index`` of ``n_parts`` equal parts of a draw, along the batch axis of its tensors."""
    if n_parts == 1:
        return draw
    parts = {
        item.name: getattr(draw, item.name).chunk(n_parts)[index]
        for item in fields(cast(Any, draw))
    }
    return cast(Draw, replace(cast(Any, draw), **parts))
