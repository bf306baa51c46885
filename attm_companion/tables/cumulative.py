"""Table II: the deployed chain, one step added at a time, with † for a significant step.

† marks a one-sided paired-t improvement over the previous row (p < 0.05), as in the paper. Beyond
it, every row is generated under each seed of the profile, and a step's gain is also given as the
mean over seeds with an interval over prompts.
"""

import itertools

import numpy as np

from attm_companion.study import condition_scores as scoring
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.results import Result
from attm_companion.study.study import Study
from attm_core.constants import SUBMITTED_FORWARD, HeadName
from attm_core.evaluation.statistics import PairedTest, mean_interval, paired_t_test

ROWS = ("row0", "row1", "row2", "row3", "row4")


def conditions(study: Study) -> dict[str, dict[int, ConditionStage]]:
    """The generations behind the table: row → seed → condition."""
    sft, expert, crpo = study.sft("global_adaln"), study.expert("global_adaln"), study.crpo()
    forward: HeadName = SUBMITTED_FORWARD
    s = study.profile.generation.s
    cells: dict[str, dict[int, ConditionStage]] = {}
    for seed in study.profile.generation.seeds:
        protocol = study.evaluation.changed(seed=seed)
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
    result = study.result("cumulative")
    reference = study.reference(study.evaluation)
    generation = study.profile.generation
    cells = {
        row: {seed: stage.scores() for seed, stage in by_seed.items()}
        for row, by_seed in conditions(study).items()
    }
    for seed in generation.seeds:
        for row in ROWS:
            paper = scoring.paper_row(f"table2.{row}") if seed == study.seed else None
            if row == "row4" and seed == generation.sub2_seed:
                paper = scoring.paper_row("table2.sub2")
            facts = {"generation_seed": seed, "s": None if row == "row0" else generation.s}
            scoring.add_row(result, row, cells[row][seed], reference, paper, **facts)
    for before, after in itertools.pairwise(ROWS):
        for metric in scoring.PER_PROMPT:
            _add_step(result, cells, (before, after), metric, study)
    return result


def _add_step(
    result: Result,
    cells: dict[str, dict[int, scoring.Scores]],
    step: tuple[str, str],
    metric: str,
    study: Study,
) -> None:
    """The gain of a step at the first seed, with its test, and over all seeds."""
    before, after = step
    old, new = (getattr(cells[row][study.seed], metric) for row in step)
    test = paired_t_test(old, new, alternative="greater")
    facts = {"s": study.profile.generation.s, "verdict": _verdict(test)}
    unit = scoring.UNITS[metric]
    result.add_test(after, before, metric, test, unit, generation_seed=study.seed, **facts)
    gains = [
        getattr(cells[after][seed], metric) - getattr(cells[before][seed], metric)
        for seed in cells[after]
    ]
    over_seeds = mean_interval(np.mean(gains, axis=0))
    facts["verdict"] = scoring.direction_of(over_seeds)
    result.add_interval(after, metric, over_seeds, unit, against=before, n=len(old), **facts)


def _verdict(test: PairedTest) -> str:
    """† is one-sided, as in the paper; a loss is read off the two-sided interval."""
    both = scoring.direction_of(test.difference)
    if not test.significant():
        return "significantly lower" if both == "lower" else "not significant"
    return "†" if both == "higher" else "† (one-sided only)"
