"""Worker processes with a time limit per task: nothing that hangs or dies can stop a run."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from attm_core.errors import ConfigError, RenderError

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, limit_s: float
) -> Iterator[tuple[int, Result | RenderError]]:
    """Run ``function`` over ``tasks`` in worker processes.

    Args:
        function: a module-level function; it and the tasks must be picklable.
        tasks: the arguments, one per call.
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
    if not tasks:
        return
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive fork
    pool = ProcessPool(min(workers, len(tasks)), context=context)
    todo, running = iter(enumerate(tasks)), dict[Future[Result], int]()
    try:
        while True:
            for index, task in islice(todo, 2 * workers - len(running)):  # results take memory
                running[pool.schedule(function, args=(task,), timeout=limit_s)] = index
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), _answer(future, limit_s)
    except BrokenProcessPool as error:  # a worker died while it started
        raise RenderError(
            f"worker processes do not start ({error}); guard the calling script "
            "with `if __name__ == '__main__':` and check the free memory"
        ) from error
    finally:
        pool.stop()
        pool.join()


def _answer(future: Future[Any], limit_s: float) -> Any:
    try:
        return future.result()
    except BrokenProcessPool:
        raise
    except TimeoutError:
        return RenderError(f"gave no answer within {limit_s:g} s; its process was replaced")
    except ProcessExpired:
        return RenderError("the worker process died")
    except Exception as error:  # anything a task raises is its own failure, not the run's
        return RenderError(f"{type(error).__name__}: {error}")
