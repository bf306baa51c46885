"""Where a stage runs: in one process or several. Never what it computes.

Several machines share a study without more: `attm study` started on each, with one cache on a
shared file system, takes the stages that no other is at (``srun attm study --profile paper``).
"""

import multiprocessing
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pydantic
import torch
from torch.multiprocessing.spawn import ProcessException, spawn

from attm_core.errors import TrainingError

if TYPE_CHECKING:
    from accelerate import Accelerator

HERE = "127.0.0.1"
Work = Callable[["Accelerator | None"], None]


class Launch(pydantic.BaseModel):
    """Resources of a stage: processes on this machine, one per GPU.

    Each has its share of every batch, or of the shards.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    processes: int = pydantic.Field(default=1, ge=1)


def launch_processes(work: Work, launch: Launch, on_gpu: bool) -> None:
    """Do some work, a method of a stage, here or in several processes that form one group.

    It is given an ``Accelerator``, or None if it is alone and not ``on_gpu``.

    Raises:
        TrainingError: a process failed.
    """
    from attm_core.training.run import launched_accelerator

    if launch.processes == 1:
        work(launched_accelerator() if on_gpu else None)
        return

    with socket.create_server((HERE, 0)) as free:
        port = free.getsockname()[1]
    try:
        spawn(_work_as, (launch.processes, port, work), launch.processes)
    except ProcessException as error:
        raise TrainingError(f"one of {launch.processes} processes failed: {error}") from error


def _work_as(rank: int, count: int, port: int, work: Work) -> None:
    """In process ``rank`` of ``count``: join the others and do this one's part."""
    from attm_core.training.run import launched_accelerator

    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR=HERE)
    work(launched_accelerator())
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def end_with_parent() -> None:
    """Let this process, which `multiprocessing` started, end when the one that did so is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def child_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Let the processes that are started meanwhile see these environment variables."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
