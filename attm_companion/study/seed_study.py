"""The study of training seeds: the same chain trained again and again on the same frozen parts.

What is trained and read per seed, and why, stands in book/protocol.md. `run_tiers` goes on seed by
seed, so that a run that is cut off leaves complete seeds; what is in the cache is not made again.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from attm_companion.study.conditions import ConditionStage, InferenceProtocol
from attm_companion.study.scheduler import ensure
from attm_companion.study.stage import Stage
from attm_companion.study.study import Study
from attm_core.constants import HeadName
from attm_core.evaluation.frechet import frechet_distance

V1: HeadName = "global_adaln"
V2: HeadName = "input_add"
STRONGER = 10.0  # how much higher the rate of CRPO's positive control is
Rows = dict[str, ConditionStage]


@dataclass(frozen=True)
class Reading:
    """How models are read: input score, guidance, and whether outputs are post-processed."""

    s: float
    w: float
    post: bool

    def of(self, protocol: InferenceProtocol) -> InferenceProtocol:
        """A protocol with this guidance and post-processing; no clip is kept."""
        read = protocol.changed(w=self.w, n_listening=0)
        return read if self.post else read.changed(n_passes=0, target_lufs=None)


# The selection rule of book/protocol.md, in place of the paper's constants.
GRID = tuple(Reading(*one) for one in product((1.0, 2.0, 4.0), (1.0, 2.0, 4.0), (False, True)))


def selection(study: Study) -> dict[Reading, ConditionStage]:
    """What the selection rule looks at: v1 after Stage 1 on the validation split."""
    valid = study.evaluation.changed(split="valid", reference="valid")
    return {r: study.condition(study.sft(V1), r.of(valid), s=r.s) for r in GRID}


def distances(study: Study) -> dict[Reading, float]:
    """FAD-CLAP on the validation split of every reading that the rule may select."""
    reference = study.reference(study.validation)
    return {
        reading: frechet_distance(stage.scores().embeddings, reference)
        for reading, stage in selection(study).items()
    }


def select(study: Study) -> Reading:
    """The reading with the lowest FAD-CLAP on the validation split; the first of equals."""
    found = distances(study)
    return min(GRID, key=lambda reading: found[reading])


def primary(study: Study, reading: Reading) -> Rows:
    """The conditions behind the fifteen mechanisms, for one training seed."""
    read, arms = reading.of(study.evaluation), study.profile.expert
    v1, v2, experts, crpo = study.sft(V1), study.sft(V2), study.expert(V1), study.crpo()
    control = study.expert(V1, replace(arms, keep="none", n_samples=1, n_keep=1))
    random = study.expert(V1, replace(arms, keep="random", n_samples=arms.n_keep))
    at = partial(study.condition, protocol=read)
    rows = {
        "baseline": at(study.baseline(), s=None),
        "v1": at(v1, s=reading.s),
        "v2": at(v2, s=reading.s),
        "experts": at(experts, s=reading.s),
        "control": at(control, s=reading.s),
        "random_64": at(random, s=reading.s),
        "v1_v2": at(v1, s=reading.s, forward=V2),
        "v2_v1": at(v2, s=reading.s, forward=V1),
        "experts_v2": at(experts, s=reading.s, forward=V2),
        "crpo": at(crpo, s=reading.s),
        "v1.s0": at(v1, s=0.0),
        "v1.s2": at(v1, s=2.0),
        "crpo.s0": at(crpo, s=0.0),
        "crpo.s5": at(crpo, s=5.0),
    }
    table1 = study.validation.changed(n_listening=0)
    for name, model in (("v1", v1), ("v2", v2)):
        rows[f"{name}.low"] = study.condition(model, table1, s=-0.5)
        rows[f"{name}.high"] = study.condition(model, table1, s=1.5)
    return rows


def secondary(study: Study, reading: Reading) -> Rows:
    """The positive control of CRPO, and the published constants; after all primary ones."""
    crpo, arms = study.profile.crpo, study.profile.expert
    strong = replace(crpo.training, lr=STRONGER * crpo.training.lr)
    rows = {
        "crpo_x10": study.condition(
            study.crpo(config=replace(crpo, training=strong)),
            reading.of(study.evaluation),
            s=reading.s,
        )
    }
    control = study.expert(V1, replace(arms, keep="none", n_samples=1, n_keep=1))
    published, s = study.evaluation.changed(n_listening=0), study.profile.generation.s
    for name, model in (("v1", study.sft(V1)), ("experts", study.expert(V1)), ("control", control)):
        rows[f"published.{name}"] = study.condition(model, published, s=s)
    return rows


def labels(study: Study, reading: Reading) -> Rows:
    """Experts trained under the score they were sampled at, or none; last of all."""
    read, arms = reading.of(study.evaluation), study.profile.expert
    others = {"sampling": replace(arms, label="sampling"), "null": replace(arms, label="null")}
    return {
        f"experts.{label}": study.condition(study.expert(V1, arm), read, s=reading.s)
        for label, arm in others.items()
    }


TIERS = (primary, secondary, labels)


def complete(study: Study, reading: Reading) -> Rows:
    """The conditions of a seed that are in the cache; empty if a primary one is not."""
    rows = primary(study, reading)
    if not all(stage.done for stage in rows.values()):
        return {}
    more = {**secondary(study, reading), **labels(study, reading)}
    return rows | {row: stage for row, stage in more.items() if stage.done}


def run_tiers(
    studies: Sequence[Study],
    tiers: Sequence[Callable[[Study, Reading], Mapping[str, Stage]]],
    after: Callable[[Reading], None],
    jobs: int | None = None,
) -> None:
    """Select the reading, then make the rows of every tier for every seed.

    Args:
        studies: one per training seed, with the same frozen parts; the first decides the reading.
        tiers: which rows a seed needs, in groups, the most important first.
        after: called when a tier is complete for as many seeds as there are workers, to write down
            what there is.
        jobs: worker processes; the profile's if None.
    """
    first, began = studies[0], time.monotonic()
    resources = first.profile.resources
    jobs = jobs or resources.jobs or 2
    homes: list[Stage] = [first.anchors(first.evaluation), first.anchors(first.validation)]
    groups = [studies[start : start + jobs] for start in range(0, len(studies), jobs)]
    # What the first group needs whatever is selected keeps the other workers busy meanwhile.
    chains = [stage for study in groups[0] for stage in (study.crpo(), study.sft(V2))]
    ensure([*homes, *selection(first).values(), *chains], jobs, resources.threads)
    reading = select(first)
    _say(f"selected on validation: {reading}", began)
    work = list(product(tiers, groups))
    started = time.monotonic()
    for number, (tier, group) in enumerate(work, start=1):
        stages = [stage for study in group for stage in tier(study, reading).values()]
        ensure(stages, jobs, resources.threads)
        after(reading)
        left = (time.monotonic() - started) / number * (len(work) - number) / 60
        seeds = ", ".join(str(study.training_seed) for study in group)
        _say(f"{tier.__name__} of training seeds {seeds} done; {left:.0f} min left at most", began)


def _say(line: str, began: float) -> None:
    minutes = (time.monotonic() - began) / 60
    print(f"[{minutes:.1f} min] {line}", file=sys.stderr, flush=True)
