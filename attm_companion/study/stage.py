"""A stage of the study: a configuration whose fields are its inputs, cached under its identity.

A stage that needs another holds it as a field, so ``CRPOStage(start=ExpertStage(...))`` names a
whole chain, and changing one number re-runs just what depends on it. `run_stage` lets `Stage.run`
fill the stage's folder under a lock, then writes the record ``stage.json``: what the work cost and
the SHA-256 of every file. What is read is compared with it; what does not fit is set aside and made
again. Nothing in a cache is executed, but who can write to it can replace files and their digests.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import resource
import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import pydantic
from pydantic_core import to_jsonable_python

from attm_companion.study.launch import Launch
from attm_core.errors import AttmError, InputError
from attm_core.files import file_lock, read_json, sha256_once, write_json

CACHE_VARIABLE = "ATTM_CACHE"
RECORD_NAME = "stage.json"
SET_ASIDE = "set-aside"  # below a stage's folder: what did not fit its record
LOCK_NAME = ".lock"
PROCESS = Path("/proc/self")  # Linux
WITHOUT_EFFECT = frozenset({"workers", "launch"})  # fields that change how, not what


class StageError(AttmError):
    """A stage failed, or its result is not what it was when it was made."""


def cache_root() -> Path:
    """Where stages keep what they made: ``$ATTM_CACHE``, or ``.cache/attm`` where we stand."""
    return Path(os.environ.get(CACHE_VARIABLE, ".cache/attm")).resolve()


class Stage(pydantic.BaseModel):
    """Base of all stages: places the cache and knows the stages it depends on.

    A subclass adds its inputs as fields and `run`; it raises ``version`` when its code changes
    meaning.
    """

    model_config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())
    version: ClassVar[str] = "1"

    launch: Launch = Launch()

    @abstractmethod
    def run(self, folder: Path) -> None:
        """Make the result in ``folder``, going on from what a killed run left there."""

    def __reduce__(self) -> tuple[Callable[[str], Stage], tuple[str]]:
        """Travel to a worker as configuration alone."""
        return type(self).model_validate_json, (self.model_dump_json(),)

    @cached_property
    def uid(self) -> str:
        """Identity: the kind of stage and a hash of every input and version, at any depth.

        It does not depend on how a stage was made: an object that plays a role in two stages has
        one identity.
        """
        values = json.dumps([self.version, self.inputs()], sort_keys=True)
        digest = hashlib.sha256(values.encode()).hexdigest()[:16]
        return f"{type(self).__name__.removesuffix('Stage').lower()}-{digest}"

    def inputs(self) -> dict[str, Any]:
        """All that the result depends on, as JSON; a stage in it by its identity."""
        return {name: _identity(v) for name, v in _fields(self) if name not in WITHOUT_EFFECT}

    @property
    def folder(self) -> Path:
        """The stage's own folder in the cache."""
        return cache_root() / self.uid

    @property
    def parents(self) -> list[Stage]:
        """The stages that this one reads from, also those inside a plain group of them."""
        return list(_stages_in(self))

    @property
    def assets(self) -> tuple[str, ...]:
        """Names in the asset manifest of what the stage reads itself."""
        return ()

    @property
    def label(self) -> str:
        """A short name for progress lines and the compute account."""
        return type(self).__name__.removesuffix("Stage")

    @property
    def done(self) -> bool:
        """Whether the result is in the cache, whole and as it was made."""
        return (self.folder / RECORD_NAME).exists() and not self.damage()

    def artefact(self, name: str) -> Path:
        """The path of a file of the result, or of a folder of files, after a look at its digest.

        Raises:
            StageError: it was never made, or is not what was made.
        """
        files = self.record()["files"]
        wanted = {
            file: digest for file, digest in files.items() if f"{file}/".startswith(f"{name}/")
        }
        wrong = _unlike(self.folder, wanted) if wanted else [f"there is no {name}"]
        if wrong:
            raise StageError(
                f"{self.label} in {self.folder}: {', '.join(wrong)}; the next `attm study` sets it"
                " aside and makes it again"
            )
        return self.folder / name

    def changed(self, **changes: Any) -> Self:
        """The same stage but for some fields."""
        return type(self).model_validate(dict(_fields(self)) | changes)

    def record(self) -> dict[str, Any]:
        """The record of the run that made the result: its files' digests, time and memory.

        Raises:
            StageError: there is none, it is damaged, or it is another stage's.
        """
        path = self.folder / RECORD_NAME
        try:
            record = dict(read_json(path))
            digest = record.pop("digest", None)
        except (InputError, TypeError, ValueError) as error:
            raise StageError(f"{self.label} has no result in the cache ({error})") from error
        if digest != _digest(record) or record["uid"] != self.uid:
            raise StageError(f"{path} is not what was written for {self.label}")
        return record

    def damage(self) -> list[str]:
        """What is wrong with a result that was finished once; empty if nothing is."""
        if not (self.folder / RECORD_NAME).exists():
            return []
        try:
            return _unlike(self.folder, self.record()["files"])
        except StageError as error:
            return [str(error)]

    def seal(self, **cost: float) -> None:
        """Write the record, last of all: from here on the stage is done."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        names = [path.relative_to(self.folder).as_posix() for path in paths]
        kept = [n for n in names if n != RECORD_NAME and not n.startswith((".", f"{SET_ASIDE}/"))]
        files = {name: sha256_once(self.folder / name) for name in kept}
        record = {"uid": self.uid, "label": self.label, "files": files, **cost}
        write_json(self.folder / RECORD_NAME, {**record, "digest": _digest(record)})


def run_stage(stage: Stage, wait_s: float = math.inf) -> bool:
    """Make the result of a stage whose parents are done, unless it is there.

    Another process that makes it is waited for; False if it is still at it after ``wait_s``.

    Raises:
        StorageError: no disk space, or a file system without locks.
    """
    with file_lock(stage.folder / LOCK_NAME, wait_s) as ours:
        if not ours:
            return False
        if damage := stage.damage():
            _set_aside(stage, damage)
        if not stage.done:
            for leftover in stage.folder.rglob(".*.part*"):  # of a writer that was killed
                leftover.unlink(missing_ok=True)
            with _measured() as cost:
                stage.run(stage.folder)
            stage.seal(**cost)
    return True


def _set_aside(stage: Stage, damage: list[str]) -> None:
    """Move all of a damaged result out of the way, its record first."""
    aside = stage.folder / SET_ASIDE
    target = aside / str(sum(1 for _ in aside.glob("*")) + 1)
    target.mkdir(parents=True)
    found = [p for p in stage.folder.iterdir() if p.name not in (SET_ASIDE, LOCK_NAME)]
    for path in sorted(found, key=lambda path: path.name != RECORD_NAME):
        path.rename(target / path.name)
    listed = ", ".join(damage[:3]) + (f" and {len(damage) - 3} more" if len(damage) > 3 else "")
    sys.stderr.write(f"{stage.label}: {listed}; set aside in {target}, making it again\n")


@contextmanager
def _measured() -> Iterator[dict[str, float]]:
    """Yield a dict; afterwards it holds wall time, CPU time and peak memory of what was done."""
    if PROCESS.exists():
        (PROCESS / "clear_refs").write_text("5")  # the peak counts from here
    wall, cpu = time.monotonic(), sum(os.times()[:4])  # its own and that of ended children
    cost: dict[str, float] = {}
    yield cost
    cost["wall_s"] = round(time.monotonic() - wall, 3)
    cost["cpu_s"] = round(sum(os.times()[:4]) - cpu, 3)
    cost["peak_memory_mb"] = _peak_kib() // 1024


def _peak_kib() -> int:
    if not PROCESS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # since the process began
    lines = (PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _unlike(folder: Path, files: dict[str, str]) -> list[str]:
    """Which files of a folder are missing or have another digest, in words."""
    wrong = []
    for name, digest in files.items():
        try:
            if sha256_once(folder / name) != digest:
                wrong.append(f"{name} was changed")
        except OSError as error:
            wrong.append(f"{name} cannot be read ({error.strerror})")
    return wrong


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _identity(value: Any) -> Any:
    """A value as JSON, each stage in it by its identity, without what cannot change the result."""
    if isinstance(value, Stage):
        return value.uid
    if isinstance(value, pydantic.BaseModel):
        return _identity(dict(_fields(value)))
    if isinstance(value, dict):
        return {key: _identity(item) for key, item in value.items() if key not in WITHOUT_EFFECT}
    return to_jsonable_python(value)


def _fields(model: pydantic.BaseModel) -> Iterator[tuple[str, Any]]:
    """Names and values of fields; a model's own iterator gives cached properties, too."""
    return ((name, getattr(model, name)) for name in type(model).model_fields)


def _stages_in(model: pydantic.BaseModel) -> Iterator[Stage]:
    for _, value in _fields(model):
        if isinstance(value, Stage):
            yield value
        elif isinstance(value, pydantic.BaseModel):
            yield from _stages_in(value)


def ancestry(stages: list[Stage]) -> list[Stage]:
    """The given stages and all they depend on, each once, dependencies first."""
    ordered: dict[str, Stage] = {}
    seen: set[int] = set()  # the same object is met along many paths; its uid is not cheap

    def visit(stage: Stage) -> None:
        if id(stage) in seen:
            return
        seen.add(id(stage))
        for parent in stage.parents:
            visit(parent)
        ordered.setdefault(stage.uid, stage)

    for stage in stages:
        visit(stage)
    return list(ordered.values())
