"""Build a corpus: read the scores, deal them to splits, make every clip, write it whole or not.

A folder holds ``clips.parquet``, ``mix.npy``, ``instrumental.npy``, ``vocals.npy`` (int16, (n, S))
and ``corpus.json``, which is written last: without it there is no corpus. Scores that have been
read stay in ``pieces/`` as JSON, so that a build that was killed does not read them again.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attm_companion.world.clip_making import Clip, ClipTask, make_clip
from attm_companion.world.config import MANIFEST, SPLITS, TABLE, TRACKS, CorpusConfig
from attm_companion.world.segments import assign_splits
from attm_companion.world.sheet_music import choose_files, read_piece
from attm_companion.world.workers import run_tasks
from attm_core.errors import ConfigError, InputError, RenderError
from attm_core.files import file_lock, read_json, write_atomic, write_json
from attm_core.progress import track
from attm_core.randomness import numpy_generator

ARRAYS = tuple(f"{name}.npy" for name in TRACKS)
READER_VERSION = 1  # raise it when `read_piece` changes what it returns
MAX_ATTEMPTS = 4
MIN_READABLE = 0.9  # of the scores; below, something is wrong with the installation
LAST_TRY_S = 600.0  # a score that failed gets this long, alone, so that builds do not differ


def build_corpus(config: CorpusConfig, folder: Path, workers: int) -> None:
    """Make the corpus of ``config`` in ``folder``, created if missing; nothing if it is there.

    The result depends on ``config`` only, not on the number of workers or on earlier builds that
    were interrupted. Of two builders of one folder the second waits. An older corpus of another
    configuration is replaced. ``workers`` are processes that read and render.

    Raises:
        ConfigError: fewer than one worker.
        RenderError: too many scores cannot be read, or a clip fails in every attempt.
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    folder = Path(folder)
    with file_lock(folder.with_name(f".{folder.name}.lock"), math.inf):
        if not _is_complete(config, folder):
            _build(config, folder, workers)


def _build(config: CorpusConfig, folder: Path, workers: int) -> None:
    for name in (MANIFEST, TABLE, *ARRAYS):  # from here on, the folder holds no corpus
        (folder / name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    pieces, unread = _read_pieces(config, folder, workers)
    tasks = plan_clips(config, pieces)
    rows, failures = _render(tasks, config, folder, workers)
    table = pd.DataFrame(rows)
    write_atomic(folder / TABLE, lambda part: table.to_parquet(part, index=False))
    used = {s: len({row["piece_id"] for row in rows if row["split"] == s}) for s in SPLITS}
    wrong = {"unread_scores": unread, "render_errors": failures}
    facts = {"config": asdict(config), "pieces": used, "clips": config.split_sizes, **wrong}
    write_json(folder / MANIFEST, facts)


def plan_clips(config: CorpusConfig, pieces: dict[Path, tuple[str, str]]) -> list[ClipTask]:
    """One task a clip, ordered by split; the clips of a split are shared out over its pieces.

    ``pieces`` are the file of each piece → (piece_id, kind).
    """
    split_of = assign_splits(list(pieces.values()), config.seed)
    tasks: list[ClipTask] = []
    for split, size in config.split_sizes.items():
        files = [path for path, (piece_id, _) in pieces.items() if split_of[piece_id] == split]
        order = numpy_generator(config.seed, "clips", split).permutation(len(files))
        turns = sorted(range(size), key=lambda i: i % len(files))  # clips of a piece together
        for i in turns:
            tasks.append(ClipTask(len(tasks), split, files[order[i % len(files)]], config))
    return tasks


def _is_complete(config: CorpusConfig, folder: Path) -> bool:
    try:
        manifest = read_json(folder / MANIFEST)
    except InputError:
        return False
    whole = all((folder / name).is_file() for name in (TABLE, *ARRAYS))
    return whole and manifest.get("config") == asdict(config)


def _read_task(task: tuple[str, str, Path]) -> tuple[str, str]:
    """Worker: read a score, put it aside as JSON, return its name and kind."""
    kind, relative, target = task
    piece = read_piece(kind, relative)
    write_json(target, piece.to_plain())
    return piece.piece_id, piece.kind


def _read_pieces(
    config: CorpusConfig, folder: Path, workers: int
) -> tuple[dict[Path, tuple[str, str]], dict[str, str]]:
    """All readable scores in the order they were chosen, and why the others were not read."""
    files = choose_files(config.n_pieces, config.seed)
    chosen = []
    for kind, relative in files:
        digest = hashlib.sha256(f"{READER_VERSION}/{relative}".encode()).hexdigest()[:20]
        chosen.append((kind, relative, folder / "pieces" / f"{digest}.json"))
    unread = _read_missing(chosen, workers, config.parse_limit_s)
    if unread:  # a worker may have died of something else than its score: once more, alone
        unread = _read_missing([task for task in chosen if task[1] in unread], 1, LAST_TRY_S)
    read = [task for task in chosen if task[1] not in unread]
    pieces = {path: (relative.rsplit(".", 1)[0], kind) for kind, relative, path in read}
    if len(pieces) < MIN_READABLE * len(chosen):
        raise RenderError(
            f"{len(unread)} of {len(chosen)} scores cannot be read, e.g. "
            f"{next(iter(unread.items()))}; check the music21 installation"
        )
    return pieces, unread


def _read_missing(
    chosen: Sequence[tuple[str, str, Path]], workers: int, limit_s: float
) -> dict[str, str]:
    """Read the scores that no file holds yet; those that failed, with the reason."""
    missing = [task for task in chosen if not task[2].is_file()]
    answers = run_tasks(_read_task, missing, workers, limit_s)
    return {
        missing[index][1]: str(result)
        for index, result in track(answers, "Reading scores", total=len(missing))
        if isinstance(result, RenderError)
    }


def _render(
    tasks: Sequence[ClipTask], config: CorpusConfig, folder: Path, workers: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Make all clips into array files that get their names when the last sample is in."""
    parts = {name: folder / f".{name}.part.npy" for name in TRACKS}
    shape = (len(tasks), config.n_samples)
    arrays = {
        name: np.lib.format.open_memmap(path, mode="w+", dtype=np.int16, shape=shape)
        for name, path in parts.items()
    }
    failures: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = [{} for _ in tasks]
    clips = _all_clips(tasks, config, workers, failures)
    for clip in track(clips, "Rendering clips", total=len(tasks)):
        row = clip.row["clip_id"]
        rows[row] = clip.row
        for name, wave in zip(TRACKS, clip.audio, strict=True):
            arrays[name][row] = wave
    for name, path in parts.items():
        arrays[name].flush()
        path.replace(folder / f"{name}.npy")
    return rows, failures


def _all_clips(
    tasks: Sequence[ClipTask], config: CorpusConfig, workers: int, failures: list[dict[str, Any]]
) -> Iterator[Clip]:
    """Every clip once; those that fail are tried again with other draws, and noted."""
    for attempt in range(MAX_ATTEMPTS):
        failed = []
        for index, result in run_tasks(make_clip, tasks, workers, config.render_limit_s):
            if isinstance(result, Clip):
                yield result
                continue
            clip = tasks[index].clip_id
            failures.append({"clip_id": clip, "attempt": attempt, "error": str(result)})
            failed.append(replace(tasks[index], attempt=attempt + 1))
        if not failed:
            return
        tasks = sorted(failed, key=lambda task: task.clip_id)
    raise RenderError(f"{len(tasks)} clips failed {MAX_ATTEMPTS} times, e.g. {failures[-1]}")
