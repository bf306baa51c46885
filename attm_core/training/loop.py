"""The one training loop: same numbers whether or not it was killed on the way.

A stage is an `Objective`: it draws everything random of step k as a function of (seed, k), and
turns the draw into losses. The loop cuts each draw into equal parts, over processes and over
accumulation, so that one batch gives one gradient however it is shared out. All state is in one
file, renamed into place: after a kill the run goes on from it to the bit-identical end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from attm_core.configuration import TrainConfig
from attm_core.errors import ConfigError, TrainingError
from attm_core.files import load_tensors, save_tensors, write_atomic
from attm_core.precision import fast_autocast
from attm_core.progress import track
from attm_core.training.ema import PowerEma, trainable
from attm_core.training.optimisation import learning_rate, make_optimizer
from attm_core.training.run import IDENTITY, Run, check_identity, identity_of

if TYPE_CHECKING:
    import pandas as pd

_Draw = TypeVar("_Draw")
_CHECK_EVERY = 20  # steps between looks at the losses: each look waits for the device


class Objective(Protocol[_Draw]):
    """What is minimised."""

    def describe(self) -> Mapping[str, Any]:
        """Configuration and data, as JSON values: a run resumes only under the same ones."""

    def draw(self, step: int) -> _Draw:
        """All that is random in step ``step``: a dataclass of tensors with batch axis first."""

    def losses(self, model: nn.Module, draw: _Draw) -> Mapping[str, Tensor]:
        """``"loss"`` (B,), whose mean is minimised, and further values (B,) to log.

        ``model`` may be wrapped for several processes.
        """


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind, besides the trained model itself."""

    # A row per step: step (from 1), loss, further losses, grad_norm, validation_loss (NaN where it
    # was not measured).
    log: pd.DataFrame
    folder: Path | None  # with state.safetensors, log.csv and the averages in ema/


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are."""
    return next(model.parameters()).device


def fit(
    model: nn.Module,
    objective: Objective[_Draw],
    config: TrainConfig,
    run: Run | None = None,
    validate: Callable[[], float] | None = None,
    description: str = "training",
) -> TrainResult:
    """Train ``model`` in place; a run whose folder holds part of it is taken up again.

    With None for ``run`` nothing is kept. ``validate`` measures the validation loss of ``model``,
    with gradients off; ``description`` is what the progress line says.

    Raises:
        CheckpointError: the folder belongs to another run.
        ConfigError: the batch cannot be cut into equal parts.
        TrainingError: a loss or gradient is not finite; the message names the step.
    """
    work = _Fit(model, objective, config, run or Run(), validate)
    start = work.resume()
    for step in track(range(start, config.n_steps), description, start=start):
        work.step(step)
        work.log_and_save(step + 1)
    return work.finish()


class _Fit(Generic[_Draw]):
    """Everything that `fit` has to carry from step to step."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective[_Draw],
        config: TrainConfig,
        run: Run,
        validate: Callable[[], float] | None,
    ) -> None:
        self.config, self.objective, self.run, self.validate = config, objective, run, validate
        self.n_parts = run.count * config.accumulation
        if config.batch_size % self.n_parts:
            raise ConfigError(
                f"a batch of {config.batch_size} cannot be cut into {run.count} processes × "
                f"{config.accumulation} accumulation steps"
            )
        if run.folder is not None:
            description = {"train": asdict(config), "objective": dict(objective.describe())}
            self.identity = identity_of(description, model)
        self.model = run.place(model).train()
        self.optimizer = make_optimizer(model.parameters(), config)
        self.ema = PowerEma(model, config.sigma_rels)
        self.wrapped = run.wrap(model)
        self.weights = list(trainable(model).values())
        self.columns: list[str] = []
        self.log = torch.zeros(0, 0, dtype=torch.float64)
        self.recent: list[Tensor] = []

    def resume(self) -> int:
        """Take up the stored state; the number of steps already done."""
        path = self.run.folder and Path(self.run.folder) / "state.safetensors"
        if path is None or not path.exists():
            return 0
        metadata, tensors = check_identity(path, self.identity), load_tensors(path)
        self.model.load_state_dict(_group(tensors, "model"))
        _restore_optimizer(self.optimizer, _group(tensors, "optim"))
        self.ema.restore(_group(tensors, "ema"))
        self.log, self.columns = tensors["log"], json.loads(metadata["columns"])
        return int(metadata["n_done"])

    def step(self, step: int) -> None:
        """One update on the draw of step ``step``."""
        config, draw = self.config, self.objective.draw(step)
        first = self.run.index * config.accumulation
        parts = range(first, first + config.accumulation)
        values = [self._backward(draw, part, last=part == parts[-1]) for part in parts]
        norm = nn.utils.clip_grad_norm_(self.weights, config.clip_norm, foreach=True)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update(step + 1)
        self.recent.append(torch.cat([torch.stack(values).mean(dim=0), norm.detach()[None]]))

    def _backward(self, draw: _Draw, part: int, last: bool) -> Tensor:
        """Add the gradient of one of ``n_parts`` equal parts of a draw; the means of its losses."""
        if self.n_parts > 1:
            whole = cast(Any, draw)
            names = [item.name for item in fields(whole)]
            cuts = {name: getattr(draw, name).chunk(self.n_parts)[part] for name in names}
            draw = cast(_Draw, replace(whole, **cuts))
        with self.run.quiet(self.wrapped, last):
            with fast_autocast(device_of(self.model).type, self.config.precision == "bf16"):
                losses = self.objective.losses(self.wrapped, draw)
            means = {name: loss.float().mean() for name, loss in losses.items()}
            (means["loss"] / self.config.accumulation).backward()
        self.columns = [*means, "grad_norm", "validation_loss"]
        return torch.stack(list(means.values())).detach()

    def log_and_save(self, n_done: int) -> None:
        """Look at the losses now and then; validate and store at every ``save_every``."""
        due = n_done == self.config.n_steps or n_done % self.config.save_every == 0
        if due or n_done % _CHECK_EVERY == 0:
            self._flush(n_done)
        if due and self.validate is not None:
            self.model.eval()
            with torch.no_grad():
                self.log[-1, -1] = self.validate()
            self.model.train()
        if due and self.run.folder is not None:
            self._save(Path(self.run.folder), n_done)

    def _flush(self, n_done: int) -> None:
        """Bring the recent losses to the log, and stop if one is not a number."""
        block = self.run.mean(torch.stack(self.recent)).double().cpu()
        self.recent = []
        bad = (~block.isfinite()).any(dim=1).nonzero()
        if len(bad):
            step = n_done - len(block) + int(bad[0]) + 1
            raise TrainingError(
                f"loss or gradient is not finite at step {step}; lower the learning rate (in "
                "another folder), or look at the data of that step"
            )
        block = nn.functional.pad(block, (0, 1), value=float("nan"))
        self.log = torch.cat([self.log.reshape(-1, block.shape[1]), block])

    def _save(self, folder: Path, n_done: int) -> None:
        if self.run.index == 0:
            if self.config.sigma_rels:
                self.ema.save_snapshot(folder / "ema", n_done)
            named = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
            for index, own in self.optimizer.state_dict()["state"].items():
                named |= {f"optim.{index}.{key}": tensor for key, tensor in own.items()}
            named |= {f"ema.{name}": tensor for name, tensor in self.ema.tensors().items()}
            metadata = {"n_done": str(n_done), "columns": json.dumps(self.columns)}
            named["log"], metadata[IDENTITY] = self.log, self.identity
            save_tensors(folder / "state.safetensors", named, metadata)
        self.run.wait()

    def finish(self) -> TrainResult:
        """Write the log and return."""
        import pandas as pd

        self.model.eval()
        log = pd.DataFrame(self.log.numpy(), columns=self.columns)
        log.insert(0, "step", range(1, len(log) + 1))
        folder = self.run.folder
        if folder is not None and self.run.index == 0:
            write_atomic(Path(folder) / "log.csv", lambda part: log.to_csv(part, index=False))
        return TrainResult(log, folder)


def _group(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    start = f"{name}."
    return {key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)}


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
