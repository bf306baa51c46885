"""What the paper leaves open, as one table: six questions, each seed and the mean over them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import torch
from threadpoolctl import threadpool_limits

from attm_companion.study.chain import ExpertStage, SFTStage
from attm_companion.study.condition_scores import UNITS, add_row
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.open_questions import Rows, answered, heard
from attm_companion.study.open_stages import BestOfStage, SeparatorCheckStage
from attm_companion.study.per_prompt import write_scored
from attm_companion.study.results import Result
from attm_companion.study.seed_study import Reading
from attm_companion.study.study import Study
from attm_companion.tables import training_seeds
from attm_core.files import read_json

EXPERIMENT = "open_questions"
METRICS = ("reward", "clap", "utility", "quality")
JOINT = "w=1, w_score=1"


def write_open(studies: Sequence[Study], reading: Reading) -> None:
    """Tabulate what is in the cache, if anything, and write the result."""
    rows = {study: answered(study, reading) for study in studies}
    stages = [stage for own in rows.values() for stage in own.values()]
    if not stages:
        return
    result = tabulate(rows, reading)
    result.provenance["selected"] = asdict(reading)
    scored = [item for own in rows.values() for item in heard(own).items()]
    write_scored(studies[0], result, stages, scored)


def tabulate(rows: dict[Study, Rows], reading: Reading) -> Result:
    """The table of the rows in the cache, by the study of each training seed, as read."""
    first = next(iter(rows))
    result = first.result(EXPERIMENT)
    with threadpool_limits(limits=1):
        found = {study.training_seed: heard(own) for study, own in rows.items()}
        training_seeds.add_conditions(result, found, first.reference)
        for study, own in rows.items():
            _add_facts(result, own, reading.s, study.training_seed)
        for stage in rows[first].values():
            if isinstance(stage, SeparatorCheckStage):
                _add_separator(result, stage, first)
        _add_contrasts(result, {k: {r: h.scores() for r, h in o.items()} for k, o in found.items()})
    return result


def pairs(rows: Iterable[str]) -> list[tuple[str, str]]:
    """The differences that answer the questions, of rows that are there."""
    rows = list(rows)
    best = [row for row in rows if row.startswith("best of ")]
    wanted = [(row, best[0]) for row in [*best[1:], "experts"] if best]
    wanted += [("experts", best[-1])] if best else []
    rounds = ["v1", *(row for row in rows if row.startswith("round "))]
    wanted += [(row, "v1") for row in rounds[1:]] + list(zip(rounds[2:], rounds[1:], strict=False))
    wanted += [(row, JOINT) for row in rows if row.startswith("w=") and row != JOINT]
    wanted += [(row, row.replace(" crossed", "")) for row in rows if " crossed " in row]
    wanted += [(row, row.replace(".high", ".low")) for row in rows if row.endswith(".high")]
    return [pair for pair in wanted if set(pair) <= set(rows)]


def _add_contrasts(result: Result, scored: training_seeds.Scored) -> None:
    """Each difference over the seeds that have both rows, if two do."""
    seeds = training_seeds.by_seed(result)
    rows = dict.fromkeys(row for own in scored.values() for row in own)
    for row, against in pairs(rows):
        own = {seed: some for seed, some in scored.items() if {row, against} <= some.keys()}
        if len(own) < 2:
            continue
        place = {"against": against, "training_seed": None}
        for metric in METRICS:
            if all(getattr(some[row], metric) is not None for some in own.values()):
                both, n = training_seeds.over_both(own, row, against, metric)
                facts = {**place, "over": training_seeds.OVER_BOTH, "n": n}
                result.add_interval(row, metric, both, UNITS[metric], **facts)
        fad = training_seeds.contrast_of(seeds, row, against, "fad")
        result.add(row, "fad", fad.mean(), UNITS["fad"], n=len(fad), **place)


def _add_facts(result: Result, rows: Rows, s: float, seed: int) -> None:
    """What the stages know beside scores: the proxy that was optimised, and the size of e_s."""
    for row, stage in rows.items():
        if isinstance(stage, BestOfStage):
            reward = stage.judged()[0]
            for n, best in stage.best().items():
                value = reward[best, range(len(best))].mean()
                result.add(f"best of {n}", "proxy", value, UNITS["reward"], training_seed=seed)
        elif isinstance(stage, ConditionStage) and row.startswith("round "):
            assert isinstance(stage.weights, ExpertStage)
            facts = read_json(stage.weights.artefact(stage.weights.FACTS))
            for metric, key in (("proxy", "reward_mean"), ("proxy_kept", "reward_mean_kept")):
                result.add(row, metric, facts[key], UNITS["reward"], training_seed=seed)
        elif isinstance(stage, ConditionStage) and " after " in row and "crossed" not in row:
            assert isinstance(stage.weights, SFTStage)
            _add_embedding(result, row, stage.weights, s, seed)


def _add_embedding(result: Result, row: str, stage: SFTStage, s: float, seed: int) -> None:
    """The norm of e_s, and its distance from that of no score."""
    with torch.no_grad():
        e_null, e_s = stage.model().score_embed(torch.tensor([0.0, s]))
    for metric, vector in (("norm", e_s), ("distance", e_s - e_null)):
        result.add(row, metric, float(vector.norm()), "norm of e_s", s=s, training_seed=seed)


def _add_separator(result: Result, stage: SeparatorCheckStage, study: Study) -> None:
    reference = study.reference(study.evaluation)
    for row, scores in stage.scores().items():
        add_row(result, row, scores, reference, training_seed=None)
