"""The one training loop of all stages: same numbers whether or not it was killed on the way.

A stage is an `Objective`: it draws everything random of step k as a function of (seed, k), and
turns the draw into losses. The loop cuts each draw into equal parts, over processes and over
accumulation, so that one batch gives one gradient however it is shared out. After a kill the run
goes on from ``state.safetensors`` to the bit-identical end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Generic

import torch
from torch import Tensor, nn

from attm_core.errors import ConfigError
from attm_core.files import write_atomic
from attm_core.progress import track
from attm_core.training.ema import PowerEma, trainable
from attm_core.training.objective import (
    Draw,
    Objective,
    TrainConfig,
    TrainingError,
    TrainResult,
    device_of,
    take_part,
)
from attm_core.training.optimisation import (
    autocast,
    learning_rate,
    make_optimizer,
    set_learning_rate,
)
from attm_core.training.processes import Processes
from attm_core.training.state import (
    RunState,
    optimizer_tensors,
    read_state,
    restore_optimizer,
    run_identity,
    write_state,
)

if TYPE_CHECKING:
    from accelerate import Accelerator

CHECK_EVERY = 20  # steps between looks at the losses: each look waits for the device


def fit(
    model: nn.Module,
    objective: Objective[Draw],
    config: TrainConfig,
    folder: Path,
    validate: Callable[[], float] | None = None,
    description: str = "training",
    accelerator: Accelerator | None = None,
) -> TrainResult:
    """Train ``model`` in place; a run that ``folder`` holds part of is taken up again.

    Args:
        model: starting weights; the trained ones on return.
        objective: the stage.
        config: length, optimiser, averages.
        folder: the run's own; ``state.safetensors``, ``log.csv`` and ``ema/`` are written.
        validate: measures the validation loss of ``model``; called with gradients off.
        description: what the progress line says.
        accelerator: for several processes or GPUs (``accelerate launch``); None is this process.

    Raises:
        CheckpointError: ``folder`` belongs to another run.
        ConfigError: the batch cannot be cut into equal parts.
        TrainingError: a loss or gradient is not finite; the message names the step.
    """
    run = _Run(model, objective, config, Path(folder), validate, Processes(accelerator))
    start = run.resume()
    for step in track(range(start, config.n_steps), description, start=start):
        run.step(step)
        run.keep_books(step + 1)
    return run.finish()


class _Run(Generic[Draw]):
    """A run in progress: everything that `fit` has to carry from step to step."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective[Draw],
        config: TrainConfig,
        folder: Path,
        validate: Callable[[], float] | None,
        processes: Processes,
    ) -> None:
        self.config, self.objective, self.folder = config, objective, folder
        self.validate, self.processes = validate, processes
        identity = {"train": asdict(config), "objective": dict(objective.describe())}
        self.identity = run_identity(identity, model)
        self.model = processes.place(model).train()
        self.device = device_of(model)
        self.optimizer = make_optimizer(model.parameters(), config.optim)
        self.ema = PowerEma(model, config.sigma_rels, config.ema_every)
        self.velocity = processes.wrap(model)
        self.weights = list(trainable(model).values())
        self.columns: list[str] = []
        self.log = torch.zeros(0, 0, dtype=torch.float64)
        self.recent: list[Tensor] = []
        self._check_parts()

    def _check_parts(self) -> None:
        accumulation = self.config.optim.accumulation
        self.n_parts = self.processes.count * accumulation
        if self.objective.batch_size % self.n_parts:
            raise ConfigError(
                f"a batch of {self.objective.batch_size} cannot be cut into "
                f"{self.processes.count} processes × {accumulation} accumulation steps"
            )

    @property
    def _state_path(self) -> Path:
        return self.folder / "state.safetensors"

    def resume(self) -> int:
        """Take up the stored state; the number of steps already done."""
        state = read_state(self._state_path, self.identity)
        if state is None:
            return 0
        self.model.load_state_dict(state.group("model"))
        restore_optimizer(self.optimizer, state.group("optim"))
        self.ema.restore(state.group("ema"))
        self.log, self.columns = state.tensors["log"], state.columns
        return state.n_done

    def step(self, step: int) -> None:
        """One update on the draw of step ``step``."""
        optim = self.config.optim
        draw = self.objective.draw(step)
        first = self.processes.index * optim.accumulation
        parts = range(first, first + optim.accumulation)
        values = [
            self._backward(take_part(draw, part, self.n_parts), last=part == parts[-1])
            for part in parts
        ]
        norm = nn.utils.clip_grad_norm_(self.weights, optim.clip_norm, foreach=True)
        set_learning_rate(self.optimizer, learning_rate(optim, step, self.config.n_steps))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update(step + 1)
        self.recent.append(torch.cat([torch.stack(values).mean(dim=0), norm.detach()[None]]))

    def _backward(self, part: Draw, last: bool) -> Tensor:
        """Add the gradient of one part; the means of its losses."""
        with self.processes.quiet(self.velocity, last):
            with autocast(self.config.optim, self.device):
                losses = self.objective.losses(self.velocity, part)
            means = {name: loss.float().mean() for name, loss in losses.items()}
            (means["loss"] / self.config.optim.accumulation).backward()
        self.columns = [*means, "grad_norm", "validation_loss"]
        return torch.stack(list(means.values())).detach()

    def keep_books(self, n_done: int) -> None:
        """Log, validate, store averages and state, each when its time has come."""
        config, last = self.config, n_done == self.config.n_steps
        validation = self._due(n_done, config.validate_every) and self.validate is not None
        snapshot = self._due(n_done, config.snapshot_every) and bool(config.sigma_rels)
        save = last or n_done % config.save_every == 0
        if validation or snapshot or save or n_done % CHECK_EVERY == 0:
            self._flush(n_done)
        if validation:
            self._validate()
        if snapshot and self.processes.is_main:
            self.ema.save_snapshot(self.folder / "ema", n_done)
        if save:
            self._save(n_done)

    def _due(self, n_done: int, every: int) -> bool:
        return n_done == self.config.n_steps or bool(every and n_done % every == 0)

    def _flush(self, n_done: int) -> None:
        """Bring the recent losses to the log, and stop if one is not a number."""
        if not self.recent:
            return
        block = self.processes.mean(torch.stack(self.recent)).double().cpu()
        self.recent = []
        bad = (~block.isfinite()).any(dim=1).nonzero()
        if len(bad):
            step = n_done - len(block) + int(bad[0]) + 1
            raise TrainingError(
                f"loss or gradient is not finite at step {step}; the last good state is in "
                f"{self.folder}: lower the learning rate or look at the data of that step"
            )
        block = nn.functional.pad(block, (0, 1), value=float("nan"))
        self.log = torch.cat([self.log.reshape(-1, block.shape[1]), block])

    def _validate(self) -> None:
        assert self.validate is not None
        self.model.eval()
        with torch.no_grad():
            self.log[-1, -1] = self.validate()
        self.model.train()

    def _save(self, n_done: int) -> None:
        if self.processes.is_main:
            groups = {
                "model": self.model.state_dict(),
                "optim": optimizer_tensors(self.optimizer),
                "ema": self.ema.tensors(),
            }
            named = {f"{g}.{name}": t for g, group in groups.items() for name, t in group.items()}
            state = RunState(n_done, {**named, "log": self.log}, self.columns)
            write_state(self._state_path, state, self.identity)
        self.processes.wait()

    def finish(self) -> TrainResult:
        """Write the log and return."""
        import pandas as pd

        self.model.eval()
        log = pd.DataFrame(self.log.numpy(), columns=self.columns)
        log.insert(0, "step", range(1, len(log) + 1))
        if self.processes.is_main:
            write_atomic(self.folder / "log.csv", lambda part: log.to_csv(part, index=False))
        return TrainResult(log, self.folder)
