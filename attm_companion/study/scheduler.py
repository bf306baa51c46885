"""Run stages in worker processes, in the order of their dependencies.

By default a worker has one thread. That makes the numbers independent of how many cores a machine
has, and on small models two workers of one thread do more than one worker of two.
"""

import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager

from pebble import ProcessExpired, ProcessPool

from attm_companion.assets import missing_assets
from attm_companion.study.launch import child_environment, end_with_parent
from attm_companion.study.stage import Stage, StageError, ancestry, cache_root, run_stage
from attm_core.errors import AssetError, ConfigError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
BUSY_S = 1.0  # how long a worker waits for a stage that another process makes, before it asks again
CAUSES = {
    signal.SIGKILL: "the system kills so when memory runs out",
    signal.SIGBUS: "the disk is full, or a file was cut while it was read",
}


def ensure(stages: Iterable[Stage], jobs: int | None = None, threads: int = 1) -> None:
    """Run every given stage, and what it depends on, that has no sound result in the cache yet.

    What another process is making is waited for, so that studies on one cache share the work.
    ``jobs`` is the number of worker processes, that of cores if None; more than one of ``threads``
    each helps where the GPU does the work.

    Raises:
        ConfigError: fewer than one worker.
        AssetError: files that a stage reads are not here; nothing was started.
        StageError: a stage failed; the others that were running are finished first.
    """
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs must be at least 1, got {jobs}")
    waiting = _busiest_first([stage for stage in ancestry(list(stages)) if not stage.done])
    if not waiting:
        return
    _require_assets(waiting)
    jobs = min(jobs or os.cpu_count() or 1, len(waiting))
    context = multiprocessing.get_context("spawn")
    # Workers see the number of threads; a killed run leaves none of them.
    each = child_environment(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    with each, ProcessPool(jobs, initializer=end_with_parent, context=context) as pool:
        try:
            _run_in_order(pool, waiting, jobs)
        except KeyboardInterrupt:
            pool.stop()
            raise


def _require_assets(stages: list[Stage]) -> None:
    named = dict.fromkeys(name for stage in stages for name in stage.assets)
    missing = missing_assets(named) if named else []
    if missing:
        raise AssetError(
            f"{len(missing)} assets are not here; run `attm assets fetch {' '.join(missing)}`"
            " (`attm doctor --profile paper` says what they are and which must be put there by"
            " hand)"
        )


def _run_in_order(pool: ProcessPool, waiting: list[Stage], jobs: int) -> None:
    running: dict[Future[bool], Stage] = {}
    total, began, busy = len(waiting), time.monotonic(), set[str]()
    while waiting or running:
        for stage in _ready(waiting, list(running.values()))[: jobs - len(running)]:
            waiting.remove(stage)
            with _interrupts_held():
                running[pool.schedule(run_stage, args=(stage, BUSY_S))] = stage
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            stage = running.pop(future)
            if _made(future, stage):
                done = f"{total - len(waiting) - len(running)}/{total}"
                said = f"[{done}, {time.monotonic() - began:.0f} s] {stage.label}"
                print(said, file=sys.stderr, flush=True)
                continue
            waiting.append(stage)  # behind those that nobody is at
            if stage.uid not in busy:
                said = f"{stage.label}: another process is making it; waiting for that"
                print(said, file=sys.stderr, flush=True)
            busy.add(stage.uid)


def _busiest_first(stages: list[Stage]) -> list[Stage]:
    """Stages that many others wait for before those that few do, so that no core ends up alone."""
    followers = Counter(ancestor.uid for stage in stages for ancestor in ancestry([stage]))
    return sorted(stages, key=lambda stage: -followers[stage.uid])


def _ready(waiting: list[Stage], running: list[Stage]) -> list[Stage]:
    """Stages of which nothing is open that they stand on, however deep: they read that, too."""
    open_uids = {stage.uid for stage in (*waiting, *running)}
    return [s for s in waiting if not any(p.uid in open_uids for p in ancestry([s])[:-1])]


def _made(future: Future[bool], stage: Stage) -> bool:
    """Whether a worker made the stage, or found it made; otherwise another process is at it."""
    try:
        return future.result()
    except Exception as error:
        said = _death(error) if isinstance(error, ProcessExpired) else str(error)
        raise StageError(
            f"stage {stage.label} failed: {said}\nits folder: {stage.folder}"
        ) from error


def _death(error: ProcessExpired) -> str:
    """What ended a worker, in words."""
    free = shutil.disk_usage(cache_root()).free >> 20
    where = f"{free} MiB are free on the disk of {cache_root()}"
    if error.exitcode >= 0:
        return f"its process ended with code {error.exitcode}; {where}"
    ended = signal.Signals(-error.exitcode)
    cause = CAUSES.get(ended, "something sent it that signal")
    return f"its process was ended by {ended.name} ({cause}); {where}"


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Workers started inside do not see Ctrl-C, which a terminal sends to all: we end them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
