"""A stage of the study: a configuration whose fields are its inputs, cached under its identity.

Stages are pydantic models with an `exca.TaskInfra`. A stage that needs another holds it as a field,
so ``CRPOStage(start=ExpertStage(start=SFTStage(...)))`` names a whole chain, and changing one
number re-runs just what depends on it. The same object runs here, in a pool, or on Slurm
(``infra.cluster``).
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import exca
import pydantic

from attm_companion.study.launch import Launch
from attm_core.errors import ConfigError
from attm_core.files import read_json, write_json

CACHE_VARIABLE = "ATTM_CACHE"
RECORD_NAME = "stage.json"
WITHOUT_EFFECT = frozenset({"workers", "launch"})  # fields that change how, not what


def cache_root() -> Path:
    """Where stages keep what they made: ``$ATTM_CACHE``, or ``.cache/attm`` where we stand."""
    return Path(os.environ.get(CACHE_VARIABLE, ".cache/attm")).resolve()


class Stage(pydantic.BaseModel):
    """Base of all stages: places the cache and knows the stages it depends on.

    A subclass adds its inputs as fields, ``infra = exca.TaskInfra(version=…)`` and a method
    ``run`` under ``@infra.apply``; the version is raised when the stage's code changes meaning.
    """

    model_config = pydantic.ConfigDict(extra="forbid", protected_namespaces=())

    launch: Launch = Launch()

    def _exca_uid_dict_override(self) -> dict[str, str]:
        """Let exca name folders by our identity alone."""
        return {"uid": self.uid}

    def model_post_init(self, context: Any) -> None:
        """Give the stage's infra its cache folder and let failed runs be tried again."""
        infra = getattr(self, "infra", None)
        if infra is not None and infra.folder is None:
            infra.folder = cache_root() / self.uid
            infra.mode = "retry"
            self.launch.configure(infra)

    @property
    def folder(self) -> Path:
        """The stage's own folder in the cache."""
        infra: exca.TaskInfra = self.infra  # type: ignore[attr-defined]
        folder = infra.uid_folder(create=True)
        if folder is None:
            raise ConfigError(f"{self.label} has no cache folder: set {CACHE_VARIABLE}")
        return Path(folder)

    @cached_property
    def uid(self) -> str:
        """Identity: the kind of stage and a hash of every input and version, at any depth.

        exca leaves defaults out of its own identity and stops when one has changed; here a changed
        default is another stage, so new code never meets old results. Nor does it depend on how a
        stage was made: an object that plays a role in two stages has one identity.
        """
        values = json.dumps(_identity(self.model_dump(mode="json")), sort_keys=True)
        digest = hashlib.sha256(values.encode()).hexdigest()[:16]
        return f"{type(self).__name__.removesuffix('Stage').lower()}-{digest}"

    @property
    def parents(self) -> list[Stage]:
        """The stages that this one reads from, also those inside a plain group of them."""
        return list(_stages_in(self))

    @property
    def assets(self) -> tuple[str, ...]:
        """Names in the asset manifest of what the stage reads itself."""
        return ()

    @property
    def done(self) -> bool:
        """Whether the result is in the cache."""
        infra: exca.TaskInfra = self.infra  # type: ignore[attr-defined]
        if infra.folder is None or not Path(infra.folder).exists():
            return False  # the common case of a cold run, without exca's slower look
        return bool(infra.status() == "completed")

    @property
    def label(self) -> str:
        """A short name for progress lines and the compute account."""
        return type(self).__name__.removesuffix("Stage")

    def record(self) -> dict[str, Any]:
        """Wall time, CPU time and peak memory of the run that made the result."""
        record: dict[str, Any] = read_json(self.folder / RECORD_NAME)
        return record

    @contextmanager
    def recording(self) -> Iterator[Path]:
        """Yield the folder to fill; afterwards note what the work cost."""
        wall, cpu = time.monotonic(), time.process_time()
        yield self.folder
        record = {
            "label": self.label,
            "wall_s": round(time.monotonic() - wall, 3),
            "cpu_s": round(time.process_time() - cpu, 3),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        write_json(self.folder / RECORD_NAME, record)


def _identity(value: Any) -> Any:
    """A dumped configuration without what cannot change the result; of an infra, its version."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key not in WITHOUT_EFFECT}
        return {k: v["version"] if k == "infra" else _identity(v) for k, v in kept.items()}
    return [_identity(item) for item in value] if isinstance(value, list) else value


def _stages_in(model: pydantic.BaseModel) -> Iterator[Stage]:
    for _, value in model:
        if isinstance(value, Stage):
            yield value
        elif isinstance(value, pydantic.BaseModel) and not isinstance(value, exca.TaskInfra):
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
