"""Run stages in worker processes, in the order of their dependencies.

By default a worker has one thread. That makes the numbers independent of how many cores a machine
has, and on small models two workers of one thread do more than one worker of two.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager

from attm_companion.study.stage import Stage, ancestry
from attm_core.assets import missing_assets
from attm_core.errors import AssetError, AttmError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class StageError(AttmError):
    """A stage failed; the message names it and repeats what it said."""


def ensure(stages: Iterable[Stage], jobs: int | None = None, threads: int = 1) -> None:
    """Run every given stage, and what it depends on, that has no cached result yet.

    Args:
        stages: what must be there afterwards.
        jobs: worker processes; the number of cores if None.
        threads: of each worker; more than one where the GPU does the work.

    Raises:
        AssetError: files that a stage reads are not here; nothing was started.
        StageError: a stage failed; the others that were running are finished first.
    """
    waiting = _busiest_first([stage for stage in ancestry(list(stages)) if not stage.done])
    if not waiting:
        return
    _require_assets(waiting)
    jobs = min(jobs or os.cpu_count() or 1, len(waiting))
    context = multiprocessing.get_context("spawn")
    with (
        _threads_each(threads),
        ProcessPoolExecutor(jobs, context, _follow_parent, (os.getpid(),)) as pool,
    ):
        _run_in_order(pool, waiting, jobs)


def _require_assets(stages: list[Stage]) -> None:
    named = dict.fromkeys(name for stage in stages for name in stage.assets)
    missing = missing_assets(named) if named else []
    if missing:
        raise AssetError(
            f"{len(missing)} assets are not here; run `attm assets fetch {' '.join(missing)}`"
            " (`attm doctor --profile paper` says what they are and which must be put there by"
            " hand)"
        )


def _run_in_order(pool: ProcessPoolExecutor, waiting: list[Stage], jobs: int) -> None:
    running: dict[Future[str], Stage] = {}
    total, began = len(waiting), time.monotonic()
    while waiting or running:
        for stage in _ready(waiting, list(running.values()))[: jobs - len(running)]:
            waiting.remove(stage)
            running[pool.submit(_run, *_address(stage))] = stage
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            stage = running.pop(future)
            _collect(future, stage)
            done = total - len(waiting) - len(running)
            _say(f"[{done}/{total}, {time.monotonic() - began:.0f} s] {stage.label}")


def _busiest_first(stages: list[Stage]) -> list[Stage]:
    """Stages that many others wait for before those that few do, so that no core ends up alone."""
    followers = Counter(ancestor.uid for stage in stages for ancestor in ancestry([stage]))
    return sorted(stages, key=lambda stage: -followers[stage.uid])


def _ready(waiting: list[Stage], running: list[Stage]) -> list[Stage]:
    open_uids = {stage.uid for stage in (*waiting, *running)}
    return [s for s in waiting if not any(p.uid in open_uids for p in s.parents)]


def _collect(future: Future[str], stage: Stage) -> None:
    try:
        future.result()
    except Exception as error:
        raise StageError(
            f"stage {stage.label} failed: {error}\nits folder: {stage.folder}"
        ) from error


def _address(stage: Stage) -> tuple[str, str, str]:
    return type(stage).__module__, type(stage).__qualname__, stage.model_dump_json()


def _run(module: str, name: str, config: str) -> str:
    """In a worker: rebuild the stage from its configuration and run it."""
    cls: type[Stage] = getattr(importlib.import_module(module), name)
    stage = cls.model_validate_json(config)
    result: str = stage.run()  # type: ignore[attr-defined]
    return result


@contextmanager
def _threads_each(threads: int) -> Iterator[None]:
    """Workers started inside see the setting; the parent's is restored after."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _follow_parent(parent: int) -> None:
    """Let a worker end when the process that started it is gone, so a killed run leaves none."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
