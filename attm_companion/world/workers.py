"""Worker processes with a time limit per task: nothing that hangs or dies can stop a run.

The pools of the standard library cannot take a task back from a process that never returns
(the synthesizer once did not come back from one chord on one instrument), so each worker here
has its own pipe and deadline and is killed and replaced when it passes it.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from attm_core.errors import ConfigError, RenderError

Task = TypeVar("Task")
Result = TypeVar("Result")

START_LIMIT_S = 120.0  # a spawned interpreter on a loaded machine may take long to import
MAX_FAILED_STARTS = 3


@dataclass
class _Worker:
    """One process, its pipe, and the task it holds (None: starting or idle)."""

    process: Any
    pipe: Connection
    deadline: float
    index: int | None = None
    ready: bool = False


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """Body of a worker: say ready, then answer each (index, task) with (index, result, error)."""
    pipe.send(None)
    while True:
        try:
            index, task = pipe.recv()
        except EOFError:
            return
        answer: tuple[int, Any, str | None]
        try:
            answer = (index, function(task), None)
        except Exception as error:  # anything a task raises is its own failure, not the run's
            answer = (index, None, f"{type(error).__name__}: {error}")
        pipe.send(answer)


class _Pool(Generic[Task, Result]):
    def __init__(self, function: Callable[[Task], Result], tasks: Sequence[Task], limit_s: float):
        self._context = multiprocessing.get_context("spawn")  # torch's threads do not survive fork
        self._function = function
        self._tasks = tasks
        self._limit_s = limit_s
        self._next = 0
        self._failed_starts = 0
        self.workers: list[_Worker] = []

    def start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._function), daemon=True)
        process.start()
        theirs.close()
        self.workers.append(_Worker(process, ours, time.monotonic() + START_LIMIT_S))

    def drop(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()

    def give(self, worker: _Worker) -> None:
        """Hand the next task to a worker, or leave it idle if none is left."""
        worker.index, worker.deadline = None, float("inf")
        if self._next < len(self._tasks):
            worker.index = self._next
            worker.deadline = time.monotonic() + self._limit_s
            self._next += 1
            worker.pipe.send((worker.index, self._tasks[worker.index]))

    def replace(self, worker: _Worker, reason: str) -> tuple[int, RenderError] | None:
        """Kill a worker, start another, and return its task's failure if it held one."""
        self.drop(worker)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise RenderError(
                    f"worker processes do not start ({reason}); guard the calling script "
                    "with `if __name__ == '__main__':` and check the free memory"
                )
        self.start()
        return None if worker.index is None else (worker.index, RenderError(reason))

    def receive(self, worker: _Worker) -> tuple[int, Result | RenderError] | None:
        """Take a message from a worker that has one (or has died) and give it more work."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            return self.replace(worker, "the worker process died")
        worker.ready = True
        self.give(worker)
        if message is None:
            return None
        index, result, error = message
        return index, (result if error is None else RenderError(error))

    def step(self) -> list[tuple[int, Result | RenderError]]:
        """Wait for a message or a deadline; return what was finished or given up."""
        nearest = min(worker.deadline for worker in self.workers) - time.monotonic()
        ready = wait([worker.pipe for worker in self.workers], timeout=min(max(nearest, 0.0), 1.0))
        finished = [self.receive(worker) for worker in list(self.workers) if worker.pipe in ready]
        now = time.monotonic()
        for worker in [worker for worker in self.workers if worker.deadline < now]:
            reason = f"gave no answer within {self._limit_s:g} s; its process was replaced"
            finished.append(self.replace(worker, reason))
        return [item for item in finished if item is not None]


def run_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, limit_s: float
) -> Iterator[tuple[int, Result | RenderError]]:
    """Run ``function`` over ``tasks`` in worker processes.

    Args:
        function: a module-level function; it and the tasks must be picklable.
        tasks: the arguments, one a call.
        workers: number of processes.
        limit_s: seconds a task may take before its process is killed and replaced.

    Yields:
        (index of the task, its result) as they finish, in no fixed order. A task that raises,
        dies or exceeds its limit yields a `RenderError` in place of a result.

    Raises:
        ConfigError: fewer than one worker.
        RenderError: worker processes cannot be started at all.
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    pool: _Pool[Task, Result] = _Pool(function, tasks, limit_s)
    try:
        for _ in range(min(workers, len(tasks))):
            pool.start()
        left = len(tasks)
        while left:
            for item in pool.step():
                left -= 1
                yield item
    finally:
        for worker in list(pool.workers):
            pool.drop(worker)
