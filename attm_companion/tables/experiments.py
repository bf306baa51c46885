"""The list of experiments: what each needs, and how its numbers come out of what is cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from threadpoolctl import threadpool_limits

from attm_companion.study.profile import MiniCast
from attm_companion.study.results import Result, write_result
from attm_companion.study.scheduler import ensure
from attm_companion.study.stage import Stage, ancestry
from attm_companion.study.study import Study
from attm_companion.tables import (
    anchors,
    compute,
    cross_mechanism,
    cumulative,
    frozen_parts,
    full_mix,
    head_sweep,
    score_sweep,
    variants,
)
from attm_core.errors import ConfigError


@dataclass(frozen=True)
class Experiment:
    """One table, figure or section of the paper.

    Attributes:
        name: of its result file.
        stages: what must be cached before `tabulate` can read it.
        tabulate: turns the cached stages into a result.
    """

    name: str
    stages: Callable[[Study], list[Stage]]
    tabulate: Callable[[Study], Result]


def stages_in(value: Any) -> Iterator[Stage]:
    """All stages in a stage, or in nested dicts of stages."""
    if isinstance(value, Stage):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from stages_in(item)


def _experiment(module: ModuleType) -> Experiment:
    def stages(study: Study) -> list[Stage]:
        homes = [study.anchors(study.evaluation), study.anchors(study.validation)]
        return [*homes, *stages_in(module.conditions(study))]

    return Experiment(module.EXPERIMENT, stages, module.tabulate)


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in map(
        _experiment,
        (
            frozen_parts,
            anchors,
            head_sweep,
            cumulative,
            cross_mechanism,
            score_sweep,
            full_mix,
            variants,
        ),
    )
}


def find_experiment(name: str) -> Experiment:
    """The experiment of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in EXPERIMENTS:
        raise ConfigError(f"no experiment {name!r}; there are: {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def run_experiment(study: Study, name: str, jobs: int | None = None) -> Result:
    """Make or fetch everything an experiment needs, tabulate it and write its result file."""
    experiment = find_experiment(name)
    _ensure(study, experiment.stages(study), jobs)
    return _written(_tabulated(experiment, study), experiment.stages(study))


def run_study(study: Study, jobs: int | None = None) -> list[Result]:
    """All experiments and the compute account."""
    stages = all_stages(study)
    _ensure(study, stages, jobs)
    results = [
        _written(_tabulated(experiment, study), experiment.stages(study))
        for experiment in experiments_of(study)
    ]
    results.append(_written(compute.tabulate(study, stages), stages))
    return results


def _ensure(study: Study, stages: list[Stage], jobs: int | None) -> None:
    resources = study.profile.resources
    ensure(stages, jobs or resources.jobs, resources.threads)


def _tabulated(experiment: Experiment, study: Study) -> Result:
    """Tabulate on one thread: the last digits of a matrix product depend on how many share it."""
    with threadpool_limits(limits=1):
        return experiment.tabulate(study)


def _written(result: Result, stages: list[Stage]) -> Result:
    """Note what the stages behind a result took, then write its file."""
    took = sum(stage.record()["wall_s"] for stage in ancestry(stages))
    result.provenance["wall_s"] = round(took, 1)
    write_result(result)
    return result


def all_stages(study: Study) -> list[Stage]:
    """What the whole study caches."""
    return [stage for experiment in experiments_of(study) for stage in experiment.stages(study)]


def experiments_of(study: Study) -> list[Experiment]:
    """What a profile can tabulate: the published parts were not trained here, so no quality."""
    trained = isinstance(study.profile.cast, MiniCast)
    return [e for e in EXPERIMENTS.values() if trained or e.name != frozen_parts.EXPERIMENT]
