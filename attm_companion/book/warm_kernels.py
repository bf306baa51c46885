"""Kernels that are forks of one process, which has imported what notebooks import.

Most of a short notebook's time would else be spent on importing torch, pandas, seaborn and this
project. Nothing but imports is shared: a fork starts where a new kernel is after its imports.
"""

import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing import forkserver
from typing import Any

from jupyter_client.manager import AsyncKernelManager

from attm_companion.study.launch import child_environment, end_with_parent

CONTEXT = multiprocessing.get_context("forkserver")
IMPORTED = [
    "ipykernel.kernelapp",
    "matplotlib_inline.backend_inline",
    "seaborn",
    "torch._dynamo",  # torch's optimisers import it at their first step
    "attm_companion.tables.experiments",
    "attm_companion.study.sampling",
    "attm_core.training.crpo",
    "attm_companion.book.result_views",
    "attm_companion.book.figures",
]
BACKEND = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # read at the import


def warm_up(environment: Mapping[str, str]) -> None:
    """Start the process that kernels are forked from, unless it runs already."""
    CONTEXT.set_forkserver_preload(IMPORTED)
    with child_environment({**environment, **BACKEND}):
        forkserver.ensure_running()


def manager_class(folder: str, environment: Mapping[str, str]) -> type[AsyncKernelManager]:
    """A class whose kernels are forks that run in ``folder`` with these environment variables."""

    class WarmKernelManager(AsyncKernelManager):
        async def _async_launch_kernel(self, kernel_cmd: list[str], **_: Any) -> None:
            given = kernel_cmd[kernel_cmd.index("-f") :]
            process = CONTEXT.Process(target=_serve, args=(given, folder, dict(environment)))
            process.start()
            provisioner: Any = self.provisioner
            provisioner.process = _Popen(process)
            self._reconcile_connection_info(provisioner.connection_info)

    return WarmKernelManager


class _Popen:
    """A process of `multiprocessing` in the words of `subprocess`."""

    stdin = stdout = stderr = None

    def __init__(self, process: Any) -> None:
        self._process = process
        self.pid = process.pid
        self.kill, self.terminate = process.kill, process.terminate

    def poll(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    def wait(self) -> int | None:
        self._process.join()
        return self.poll()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def _serve(arguments: list[str], folder: str, environment: Mapping[str, str]) -> None:
    """Be a kernel until it is told to end, or until the process that asked for it is gone."""
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()  # Ctrl-C at a terminal is not for cells
    os.chdir(folder)
    os.environ.clear()
    os.environ.update({**environment, **BACKEND})
    end_with_parent()
    # Its client is on this machine, and ends it by an interrupt: nothing of that is news.
    IPKernelApp.launch_instance(argv=[*arguments, "--log-level=CRITICAL"])
