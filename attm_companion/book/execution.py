"""Execute notebooks with papermill, each in its own kernel, and only those that changed.

What an executed copy depends on is hashed into its metadata: source, parameters, the code of
``attm_core``, the lock file and the result values of the profile. Same hash, same copy.
"""

import hashlib
import json
import logging
import multiprocessing
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from attm_companion.book import refuse
from attm_companion.book.layout import STATIC_VARIABLE, Layout, code_hash, tree_hash
from attm_companion.book.notebook_gates import notebook_problems, static_sources
from attm_companion.notebook_parameters import check, declared, parse_value, read_notebook
from attm_companion.study.opening import name_of_changes
from attm_companion.study.result_files import results_hash
from attm_core.errors import ConfigError
from attm_core.files import is_running, write_atomic
from attm_core.progress import track

CELL_TIMEOUT_S = 1800
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class NotebookRun:
    """One notebook to execute: where from, where to, with which parameters, under which stamp."""

    source: Path
    output: Path
    parameters: Mapping[str, Any]
    stamp: str

    @property
    def is_current(self) -> bool:
        """Whether ``output`` was made from the same inputs and its audio is still beside it."""
        if not self.output.is_file():
            return False
        notebook = read_notebook(self.output)
        return notebook.metadata.get("attm", {}).get("stamp") == self.stamp and all(
            (self.output.parent / name).is_file() for name in static_sources(notebook)
        )


def plan(
    layout: Layout,
    only: Iterable[str] = (),
    options: Mapping[str, str] | None = None,
    profile: str = "",
) -> list[NotebookRun]:
    """The runs of a profile: of the notebooks named, or all; a run with options is kept apart.

    ``profile`` is what notebooks get for it, if that is not its name: the path of a file.

    Raises:
        ConfigError: unknown notebook, unknown parameter, or a value of another type.
    """
    options = dict(options or {})
    folder = layout.executed
    if options:
        folder = folder.with_name(name_of_changes(layout.profile, options))
    base = code_hash(layout.root) + results_hash(layout.results)
    base += tree_hash(layout.root, layout.results.parent.glob("*.json"))
    return [
        _run_of(source, folder, profile or layout.profile, options, base)
        for source in _select(layout, only)
    ]


def _select(layout: Layout, only: Iterable[str]) -> list[Path]:
    sources = {path.stem: path for path in layout.notebook_sources()}
    names = [Path(name).stem for name in only] or list(sources)
    if unknown := [name for name in names if name not in sources]:
        raise ConfigError(f"no notebook {', '.join(unknown)}; there are: {', '.join(sources)}")
    return [sources[name] for name in names]


def _run_of(
    source: Path, folder: Path, profile: str, options: Mapping[str, str], base: str
) -> NotebookRun:
    known = declared(read_notebook(source), source.name)
    given = {name: parse_value(text, known.get(name)) for name, text in options.items()}
    if "profile" in known:
        given = {"profile": profile} | given
    check(given, known, source.name)
    text = base + source.read_text(encoding="utf-8") + json.dumps(given, sort_keys=True)
    stamp = hashlib.sha256(text.encode()).hexdigest()
    return NotebookRun(source, folder / source.name, given, stamp)


def execute_all(layout: Layout, runs: Iterable[NotebookRun], jobs: int = 2) -> list[NotebookRun]:
    """Execute what is not current, ``jobs`` at a time; returns the runs that were executed.

    Raises:
        PublishingError: some notebooks failed; lists each with its cell and traceback.
    """
    runs = list(runs)
    for folder in {layout.executed, *(run.output.parent for run in runs)}:
        _clear(folder)
    missing = [run for run in runs if not run.is_current]
    missing.sort(key=lambda run: -run.source.stat().st_size)  # so that no long one is left alone
    failures: dict[str, str] = {}
    if missing:
        from attm_companion.book.warm_kernels import warm_up

        warm_up(_environment(layout.executed / "static", jobs))
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        futures = {pool.submit(execute, layout, run, jobs): run for run in missing}
        try:
            for future in track(as_completed(futures), "notebooks", total=len(missing)):
                if message := future.result():
                    failures[futures[future].source.name] = message
        except BaseException:  # Ctrl-C: do not start what is still waiting
            pool.shutdown(wait=False, cancel_futures=True)
            for kernel in multiprocessing.active_children():
                kernel.kill()
            raise
    refuse([failures[name] for name in sorted(failures)], "notebooks that failed")
    return missing


def _clear(executed: Path) -> None:
    """Delete what runs that were killed have left in ``running/``."""
    for path in executed.glob("running/*-*"):
        if not is_running(int(path.stem.rpartition("-")[2])):
            path.unlink(missing_ok=True)


def execute(layout: Layout, run: NotebookRun, jobs: int = 1) -> str | None:
    """Execute one notebook; returns None, or what went wrong (the failed copy is kept)."""
    # Named by process: an attempt of another one, killed or not, must not be taken for this one.
    attempt = run.output.parent / "running" / f"{run.source.stem}-{os.getpid()}.ipynb"
    static = run.output.parent / "static"
    static.mkdir(parents=True, exist_ok=True)
    attempt.parent.mkdir(exist_ok=True)
    try:
        _papermill(run, attempt, str(layout.root), _environment(static, jobs))
        problem = _accept(run, attempt)
    except Exception as error:  # a failed cell, a dead kernel, a notebook that cannot be read
        problem = describe_failure(run.source.name, attempt, str(error))
    return problem and problem + _keep(attempt, run)


def _papermill(run: NotebookRun, output: Path, folder: str, environment: dict[str, str]) -> None:
    import papermill
    from jupyter_core.utils import ensure_event_loop

    from attm_companion.book.warm_kernels import manager_class

    logging.getLogger("papermill").setLevel(logging.ERROR)  # parameters are checked already
    with closing(ensure_event_loop()):  # of this thread
        papermill.execute_notebook(
            str(run.source),
            str(output),
            dict(run.parameters),
            kernel_name="python3",
            progress_bar=False,
            execution_timeout=CELL_TIMEOUT_S,
            kernel_manager_class=manager_class(folder, environment),
        )


def _keep(attempt: Path, run: NotebookRun) -> str:
    """Move a failed copy to where it can be looked at."""
    if not attempt.is_file():
        return ""
    kept = run.output.parent / "failed" / run.output.name
    kept.parent.mkdir(exist_ok=True)
    attempt.replace(kept)
    return f"\n(kept: {kept})"


def _environment(static: Path, jobs: int) -> dict[str, str]:
    threads = max(1, (os.cpu_count() or 1) // max(1, jobs))
    defaults = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    return defaults | dict(os.environ) | {STATIC_VARIABLE: str(static)}


def _accept(run: NotebookRun, attempt: Path) -> str | None:
    notebook = read_notebook(attempt)
    if problems := notebook_problems(notebook, run.source.name, run.output.parent):
        return "; ".join(problems)
    notebook.metadata["attm"] = {"stamp": run.stamp}
    write_atomic(run.output, lambda part: nbformat.write(notebook, part))
    attempt.unlink()
    return None


def describe_failure(name: str, attempt: Path, message: str) -> str:
    """Name, cell and traceback of a failed notebook; the end of the message if no cell failed."""
    cells = read_notebook(attempt).cells if attempt.is_file() else []
    for cell in cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                trace = ANSI.sub("", "\n".join(output.traceback))
                place = f"{name}, In [{cell.execution_count}]"
                return f"{place}:\n{cell.source}\n{trace}"
    return f"{name}: {message[-2000:].strip()}"
