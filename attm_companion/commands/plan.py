"""``attm study --dry-run``: every stage with its configuration, its cost, and what it lacks.

Cost is the number of calls of each part (`attm_companion.commands.work`) times what a call of it
takes at full size, measured by ``benchmarks/parts.py``. Hours are given at the rate that the
paper's own 32 hours for Stage 1 imply, and on the machine that measured the parts.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from attm_companion.commands.work import work_of
from attm_companion.paper_numbers import paper_value
from attm_companion.study.profile import PaperCast
from attm_companion.study.stage import WITHOUT_EFFECT, Stage, ancestry
from attm_companion.study.study import Study
from attm_companion.tables.experiments import all_stages
from attm_core.assets import load_manifest, missing_assets
from attm_core.files import read_json

PARTS_FILE = Path(__file__).parents[2] / "results" / "benchmarks" / "parts.json"
NO_SETTINGS = WITHOUT_EFFECT | {"kind"}
HOUR_S = 3600.0
GIGA, PETA = 1e9, 1e15


@dataclass(frozen=True)
class Prices:
    """What one call of a part takes.

    Attributes:
        gflop: part → 10⁹ operations a call.
        cpu_s: part → seconds a call on the machine that measured it.
    """

    gflop: Mapping[str, float]
    cpu_s: Mapping[str, float]

    @classmethod
    def read(cls, path: Path = PARTS_FILE) -> Prices | None:
        """The committed measurement; None without it (an installed package has no results)."""
        if not path.is_file():
            return None
        parts = read_json(path)["parts"]
        gflop = {name: facts["gflop"] for name, facts in parts.items()}
        return cls(gflop, {name: facts["cpu_s"] for name, facts in parts.items()})

    def flop(self, work: Counter[str]) -> float:
        """Operations of some calls."""
        return GIGA * sum(count * self.gflop[part] for part, count in work.items())

    def cpu_hours(self, work: Counter[str]) -> float:
        """Hours of some calls, one after the other, on the measured machine."""
        return sum(count * self.cpu_s[part] for part, count in work.items()) / HOUR_S

    def gpu_hours(self, work: Counter[str]) -> float:
        """Hours at the rate of the paper's Stage 1, in which 200 K steps of 64 clips took 32."""
        steps, batch, hours = (
            paper_value(f"hyper.stage1.{name}") for name in ("updates", "batch_size", "hours")
        )
        return hours * self.flop(work) / self.flop(Counter(training_step=int(steps * batch)))


@dataclass(frozen=True)
class Planned:
    """One stage of a study as it stands.

    Attributes:
        stage: the stage.
        work: part → calls; empty where no price is known for its cast.
        missing: assets it needs itself that are not here.
    """

    stage: Stage
    work: Counter[str]
    missing: tuple[str, ...]

    def lines(self, prices: Prices | None) -> Iterator[str]:
        """What to print of it."""
        done = self.stage.done
        yield f"{'cached ' if done else 'to run '} {self.stage.label}  [{self.stage.uid}]"
        if settings := configuration(self.stage):
            yield "         " + ", ".join(f"{key}={value!r}" for key, value in settings.items())
        if self.work and prices is not None and not done:
            yield f"         about {describe_cost(self.work, prices)}"
        if self.missing:
            yield f"         missing: {', '.join(self.missing)}"


def plan(study: Study) -> list[Planned]:
    """Every stage of a study, dependencies first."""
    priced = isinstance(study.profile.cast, PaperCast)  # other casts have other sizes
    manifest = load_manifest()

    def lacking(stage: Stage) -> tuple[str, ...]:
        return tuple(missing_assets(stage.assets, manifest))

    return [
        Planned(stage, work_of(stage) if priced else Counter(), lacking(stage))
        for stage in ancestry(all_stages(study))
    ]


def configuration(stage: Stage) -> dict[str, Any]:
    """A stage's own settings, flat, and the labels of its inputs; not where it runs."""
    return dict(_settings("", stage))


def _settings(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(group, pydantic.BaseModel):
        names = list(type(group).model_fields)
    else:
        names = [field.name for field in dataclasses.fields(group)]
    for name in names:
        value = getattr(group, name)
        if name in NO_SETTINGS:
            continue
        if isinstance(value, Stage):
            if not prefix:
                yield name, value.label
        elif isinstance(value, pydantic.BaseModel) or dataclasses.is_dataclass(value):
            yield from _settings(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value


def describe_cost(work: Counter[str], prices: Prices) -> str:
    """Operations and hours of some calls, in words."""
    hours = (hours_in_words(prices.gpu_hours(work)), hours_in_words(prices.cpu_hours(work)))
    pflop = prices.flop(work) / PETA
    return f"{pflop:,.1f} PFLOP, {hours[0]} on the paper's GPU, {hours[1]} on two cores"


def hours_in_words(hours: float) -> str:
    """A duration with two or three digits.

    >>> hours_in_words(0.02), hours_in_words(1.5), hours_in_words(12345.6)
    ('1.2 min', '1.5 h', '12,346 h')
    """
    if hours < 1:
        return f"{60 * hours:.1f} min"
    return f"{hours:,.1f} h" if hours < 100 else f"{hours:,.0f} h"


def report(study: Study) -> Iterator[str]:
    """The lines of the dry run: stages, totals, missing assets."""
    planned, prices = plan(study), Prices.read()
    for item in planned:
        yield from item.lines(prices)
    waiting = [item for item in planned if not item.stage.done]
    yield f"{len(planned)} stages, {len(waiting)} to run"
    total = sum((item.work for item in waiting), Counter[str]())
    if total and prices is not None:
        yield f"in all about {describe_cost(total, prices)}"
    elif total:
        yield f"cost unknown: {PARTS_FILE.name} is made by benchmarks/parts.py in the repository"
    lacking = sorted({name for item in planned for name in item.missing})
    if lacking:
        where = f"`attm doctor --profile {study.profile.name}` says where they come from"
        yield f"missing assets: {', '.join(lacking)}; {where}"
