"""The list of experiments: what each needs, and how its numbers come out of what is cached."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module

from threadpoolctl import threadpool_limits

from attm_companion.study.conditions import ConditionStage
from attm_companion.study.per_prompt import write_scored
from attm_companion.study.profile import MiniCast
from attm_companion.study.results import Result
from attm_companion.study.scheduler import ensure
from attm_companion.study.stage import Stage
from attm_companion.study.study import Study
from attm_companion.tables import compute
from attm_core.errors import ConfigError

Conditions = Mapping[str, Stage | Mapping[int, Stage] | Mapping[float, Stage]]


@dataclass(frozen=True)
class Experiment:
    """One table, figure or section of the paper."""

    conditions: Callable[[Study], Conditions]  # by row; several by seed or input score
    tabulate: Callable[[Study], Result]  # of the cached stages

    def stages(self, study: Study) -> list[Stage]:
        """What must be cached before `tabulate` can read it."""
        homes = [study.anchors(study.evaluation), study.anchors(study.validation)]
        return [*homes, *(stage for _, stage in self.rows(study))]

    def rows(self, study: Study) -> Iterator[tuple[str, Stage]]:
        """Every condition with the row it belongs to."""
        for row, item in self.conditions(study).items():
            for stage in [item] if isinstance(item, Stage) else item.values():
                yield row, stage


EXPERIMENTS = (
    "frozen_parts",
    "anchors",
    "head_sweep",
    "cumulative",
    "cross_mechanism",
    "score_sweep",
    "full_mix",
    "variants",
    "metric_agreement",
)


def find_experiment(name: str) -> Experiment:
    """The experiment that a module is named for; raises ``ConfigError`` if none is."""
    if name not in EXPERIMENTS:
        raise ConfigError(f"no experiment {name!r}; there are: {', '.join(EXPERIMENTS)}")
    module = import_module(f"attm_companion.tables.{name}")
    return Experiment(module.conditions, module.tabulate)


def run_experiment(study: Study, name: str, jobs: int | None = None) -> Result:
    """Make or fetch everything an experiment needs, tabulate it and write its result files."""
    experiment = find_experiment(name)
    _ensure(study, experiment.stages(study), jobs)
    return _tabulated(experiment, study)


def run_study(study: Study, jobs: int | None = None) -> list[Result]:
    """All experiments and the compute account."""
    stages = all_stages(study)
    _ensure(study, stages, jobs)
    results = [_tabulated(experiment, study) for experiment in experiments_of(study).values()]
    return [*results, write_scored(study, compute.tabulate(study, stages), stages)]


def _ensure(study: Study, stages: list[Stage], jobs: int | None) -> None:
    resources = study.profile.resources
    ensure(stages, jobs or resources.jobs, resources.threads)


def _tabulated(experiment: Experiment, study: Study) -> Result:
    """Tabulate on one thread: the last digits of a matrix product depend on how many share it."""
    with threadpool_limits(limits=1):
        result = experiment.tabulate(study)
    scored = [(row, s) for row, s in experiment.rows(study) if isinstance(s, ConditionStage)]
    return write_scored(study, result, experiment.stages(study), scored)


def all_stages(study: Study) -> list[Stage]:
    """What the whole study caches."""
    return [stage for one in experiments_of(study).values() for stage in one.stages(study)]


def experiments_of(study: Study) -> dict[str, Experiment]:
    """What a profile can tabulate: the published parts were not trained here, so no quality."""
    trained = isinstance(study.profile.cast, MiniCast)
    return {k: find_experiment(k) for k in EXPERIMENTS if trained or k != "frozen_parts"}
