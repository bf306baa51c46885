"""Worker processes with a time limit per task: nothing that hangs or dies can stop a run."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from attm_core.errors import ConfigError, RenderError

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, limit_s: float
) -> Iterator[tuple[int, Result | RenderError]]:
    """Run a module-level ``function`` over ``tasks`` in worker processes.

    A task that takes more than ``limit_s`` seconds has its process killed and replaced.

    Yields:
        (index of the task, its result). A task that raises, dies or exceeds its limit yields a
        `RenderError` in place of a result.

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
    try:
        todo = deque(pool.schedule(function, args=(task,), timeout=limit_s) for task in tasks)
        for index in range(len(tasks)):
            yield index, _answer(todo.popleft(), limit_s)  # results take memory: none is kept
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
