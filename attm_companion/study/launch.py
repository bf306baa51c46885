"""Where a stage runs: here, in several processes, or as a cluster job. Never what it computes.

``python -m attm_companion.study.launch FILE`` is what torch's launcher starts on every process of a
stage; ``FILE`` names the stage, its configuration and the method to call.
"""

from __future__ import annotations

import ctypes
import importlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal, Protocol

import exca
import pydantic

from attm_core.files import read_json, write_json
from attm_core.training.objective import TrainingError
from attm_core.training.processes import launched_accelerator

LAUNCH_FILE = "launch.json"
PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


class Launch(pydantic.BaseModel):
    """Resources of a stage.

    Attributes:
        cluster: ``"slurm"`` submits a job and waits for it, ``"local"`` does so on this machine
            (to try the configuration out); None runs in the worker that asks.
        processes: each with its share of every batch, or of the shards; one a GPU.
        gpus, cpus, memory_gb, timeout_min, partition: what a job asks for; None leaves it to the
            cluster.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    cluster: Literal["slurm", "local"] | None = None
    processes: int = pydantic.Field(default=1, ge=1)
    gpus: int | None = None
    cpus: int | None = None
    memory_gb: float | None = None
    timeout_min: int | None = None
    partition: str | None = None

    def configure(self, infra: exca.TaskInfra) -> None:
        """Make ``infra`` ask for these resources."""
        if self.cluster is None:
            return
        infra.cluster = self.cluster
        infra.gpus_per_node, infra.cpus_per_task = self.gpus, self.cpus
        infra.mem_gb, infra.timeout_min = self.memory_gb, self.timeout_min
        infra.slurm_partition = self.partition


class Launchable(Protocol):
    """What can be worked on in several processes: a stage."""

    launch: Launch

    @property
    def folder(self) -> Path:
        """Where it keeps its files."""
        ...

    @property
    def label(self) -> str:
        """Its name."""
        ...

    def model_dump_json(self) -> str:
        """Its configuration."""
        ...


def launch_processes(stage: Launchable, method: str, on_gpu: bool) -> None:
    """Call a method of a stage here, or in each of ``stage.launch.processes`` processes.

    Args:
        stage: what to work on; what it needs is in its folder.
        method: name of its method, which takes an ``Accelerator``, or None if it is alone on a CPU.
        on_gpu: whether one process alone works on a GPU.

    Raises:
        TrainingError: a process failed; what it said is above.
    """
    if stage.launch.processes == 1:
        getattr(stage, method)(launched_accelerator() if on_gpu else None)
        return
    cls = type(stage)
    address = {"module": cls.__module__, "name": cls.__qualname__, "method": method}
    path = write_json(
        stage.folder / LAUNCH_FILE, {**address, "configuration": stage.model_dump_json()}
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    processes = ["--nproc_per_node", str(stage.launch.processes)]
    command = [*launcher, *processes, "-m", "attm_companion.study.launch", str(path)]
    with subprocess.Popen(command, preexec_fn=_end_with_parent) as run:
        code = run.wait()
    if code:
        raise TrainingError(
            f"{stage.label}: one of {stage.launch.processes} processes ended with {code}; what it"
            " said is above"
        )


def _end_with_parent() -> None:
    """In a child: ask to be terminated when its parent dies, however that happens (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)


def main(path: Path) -> None:
    """One process: rebuild the stage and do its part."""
    import torch

    said = read_json(path)
    cls = getattr(importlib.import_module(said["module"]), said["name"])
    stage: Launchable = cls.model_validate_json(said["configuration"])
    getattr(stage, said["method"])(launched_accelerator())
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
