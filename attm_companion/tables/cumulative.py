"""Table II: the deployed chain, one step added at a time, with † for a significant step.

† marks a one-sided paired-t improvement over the previous row (p < 0.05), as in the paper. Beyond
it, every row is generated under each seed of the profile, and a step's gain is also given as the
mean over seeds with an interval over prompts.
"""

from __future__ import annotations

import itertools

import numpy as np

from attm_companion.study.arrays import Array
from attm_companion.study.condition_scores import Scores, add_row
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.profile import HeadName
from attm_companion.study.results import Result
from attm_companion.study.study import Study
from attm_core.evaluation.statistics import PairedTest, mean_interval, paired_t_test

EXPERIMENT = "cumulative"
ROWS = ("row0", "row1", "row2", "row3", "row4")


def conditions(study: Study) -> dict[str, dict[int, ConditionStage]]:
    """The generations behind the table: row → seed → condition."""
    sft, expert, crpo = study.sft("global_adaln"), study.expert("global_adaln"), study.crpo()
    forward: HeadName = "input_add"
    s = study.profile.generation.s
    cells: dict[str, dict[int, ConditionStage]] = {}
    for seed in study.profile.generation.seeds:
        protocol = study.evaluation.with_seed(seed)
        rows = {
            "row0": study.condition(study.baseline(), protocol, s=None),
            "row1": study.condition(sft, protocol, s=s),
            "row2": study.condition(expert, protocol, s=s),
            "row3": study.condition(expert, protocol, s=s, forward=forward),
            "row4": study.condition(crpo, protocol, s=s),
        }
        for row, condition in rows.items():
            cells.setdefault(row, {})[seed] = condition
    return cells


def tabulate(study: Study) -> Result:
    """Every number of Table II, ours beside the paper's, with the tests between rows."""
    result = study.result(EXPERIMENT)
    reference = study.reference(study.evaluation)
    cells = {
        row: {seed: stage.scores() for seed, stage in by_seed.items()}
        for row, by_seed in conditions(study).items()
    }
    first, *others = study.profile.generation.seeds
    for row in ROWS:
        add_row(result, f"table2.{row}", cells[row][first], reference, f"table2.{row}", first)
    for seed in others:
        paper = "table2.sub2" if seed == study.profile.generation.sub2_seed else None
        for row in ROWS:
            key = f"table2.seed{seed}.{row}"
            add_row(
                result, key, cells[row][seed], reference, paper if row == "row4" else None, seed
            )
    _add_steps(result, cells, first)
    return result


def _add_steps(result: Result, cells: dict[str, dict[int, Scores]], first: int) -> None:
    rows = []
    for before, after in itertools.pairwise(ROWS):
        for metric in ("clap", "reward"):
            old, new = (getattr(cells[row][first], metric) for row in (before, after))
            test = paired_t_test(old, new, alternative="greater")
            _add_step(result, f"step.{after}.{metric}", test)
            pooled = _over_seeds(cells, before, after, metric)
            pooled_interval = mean_interval(pooled)
            result.add(
                f"step.{after}.{metric}.over_seeds",
                pooled_interval.estimate,
                "difference",
                n=len(pooled),
                low=pooled_interval.low,
                high=pooled_interval.high,
            )
            rows.append({"step": after, "metric": metric, **_describe(test)})
    result.tables["steps"] = rows


def _over_seeds(cells: dict[str, dict[int, Scores]], before: str, after: str, metric: str) -> Array:
    """Gain of a step for each prompt, averaged over the seeds."""
    gains = [
        getattr(cells[after][seed], metric) - getattr(cells[before][seed], metric)
        for seed in cells[after]
    ]
    mean: Array = np.mean(gains, axis=0)
    return mean


def _add_step(result: Result, key: str, test: PairedTest) -> None:
    verdict = "†" if test.significant() else "not significant"
    difference = test.difference
    result.add(
        key,
        difference.estimate,
        "difference",
        n=test.n,
        low=difference.low,
        high=difference.high,
        verdict=verdict,
    )
    result.add(f"{key}.p", test.p, "p, one-sided", n=test.n)


def _describe(test: PairedTest) -> dict[str, float | str]:
    return {
        "difference": test.difference.estimate,
        "t": test.t,
        "p": test.p,
        "d_z": test.d_z,
        "mark": "†" if test.significant() else "",
    }
