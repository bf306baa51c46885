"""``attm study --dry-run``: every stage with its configuration, its cost, and what it lacks.

Cost is the number of calls of each part (`attm_companion.commands.work`) times what a call of it
takes at full size, measured by ``benchmarks/parts.py``. Hours are given at the rate that the
paper's own 32 hours for Stage 1 imply, and on the machine that measured the parts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attm_companion.assets import missing_assets
from attm_companion.commands.work import work_of
from attm_companion.paper_numbers import paper_value
from attm_companion.study.profile import PaperCast, places
from attm_companion.study.stage import Stage, ancestry
from attm_companion.study.study import Study
from attm_companion.tables.experiments import all_stages
from attm_core.files import read_json

PARTS_FILE = Path(__file__).parents[2] / "results" / "benchmarks" / "parts.json"
HOUR_S = 3600.0
GIGA, PETA = 1e9, 1e15


@dataclass(frozen=True)
class Prices:
    """What one call takes: ``gflop``, 10⁹ operations, and ``cpu_s``, seconds where measured."""

    parts: Mapping[str, Mapping[str, float]]

    @classmethod
    def read(cls, path: Path = PARTS_FILE) -> Prices | None:
        """The committed measurement; None without it (an installed package has no results)."""
        return cls(read_json(path)["parts"]) if path.is_file() else None

    def flop(self, work: Counter[str]) -> float:
        """Operations of some calls."""
        return GIGA * sum(count * self.parts[part]["gflop"] for part, count in work.items())

    def cpu_hours(self, work: Counter[str]) -> float:
        """Hours of some calls, one after the other, on the measured machine."""
        return sum(count * self.parts[part]["cpu_s"] for part, count in work.items()) / HOUR_S

    def gpu_hours(self, work: Counter[str]) -> float:
        """Hours at the rate of the paper's Stage 1, in which 200 K steps of 64 clips took 32."""
        steps, batch, hours = (
            paper_value(f"hyper.stage1.{name}") for name in ("updates", "batch_size", "hours")
        )
        return hours * self.flop(work) / self.flop(Counter(training_step=int(steps * batch)))


@dataclass(frozen=True)
class Planned:
    """One stage as it stands: its work, empty where its cast has no price, and what it lacks."""

    stage: Stage
    work: Counter[str]
    missing: tuple[str, ...]


def plan(study: Study) -> list[Planned]:
    """Every stage of a study, dependencies first."""
    priced = isinstance(study.profile.cast, PaperCast)  # other casts have other sizes
    return [
        Planned(stage, work_of(stage) if priced else Counter(), tuple(missing_assets(stage.assets)))
        for stage in ancestry(all_stages(study))
    ]


def configuration(stage: Stage) -> dict[str, Any]:
    """A stage's own settings, flat, and the labels of its inputs; not where it runs."""
    labels = {parent.uid: parent.label for parent in stage.parents}
    return {
        place: labels.get(str(value), value)
        for place, value in places(stage.inputs())
        if not place.endswith("kind") and ("." not in place or str(value) not in labels)
    }


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
    waiting = []
    for item in planned:
        stage, done = item.stage, item.stage.done
        waiting += [] if done else [item]
        yield f"{'cached ' if done else 'to run '} {stage.label}  [{stage.uid}]"
        if settings := configuration(stage):
            yield "         " + ", ".join(f"{key}={value!r}" for key, value in settings.items())
        if item.work and prices is not None and not done:
            yield f"         about {describe_cost(item.work, prices)}"
        if item.missing:
            yield f"         missing: {', '.join(item.missing)}"
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
