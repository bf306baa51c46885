"""Table I: five score-conditioning heads and the baseline on the validation prompts.

Protocol of the table: validation captions and validation clips as reference, no post-processing,
one generation per clip and input score.
"""

import numpy as np

from attm_companion.arrays import Array
from attm_companion.paper_numbers import paper_value
from attm_companion.study.condition_scores import Scores, fad_interval
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.results import Result
from attm_companion.study.study import Study
from attm_core.constants import HEADS
from attm_core.evaluation.statistics import Interval, delta_out, mean_interval, score_correlation
from attm_core.randomness import numpy_generator

# PAPER-SILENT: Table I's caption says "per input score" without listing the scores; only +1.5 and
# −0.5 are named. We take these and their middle, and average FAD and CLAP over the three.
INPUT_SCORES = (-0.5, 0.5, 1.5)


def conditions(study: Study) -> dict[str, dict[float, ConditionStage]]:
    """The generations behind the table: head → input score → condition."""
    protocol = study.validation
    cells: dict[str, dict[float, ConditionStage]] = {
        "baseline": {0.0: study.condition(study.baseline(), protocol, s=None)}
    }
    for version, head in HEADS.items():
        model = study.sft(head)
        cells[version] = {s: study.condition(model, protocol, s=s) for s in INPUT_SCORES}
    return cells


def tabulate(study: Study) -> Result:
    """Every number of Table I, ours beside the paper's."""
    result = study.result("head_sweep")
    reference = study.reference(study.validation)
    for version, by_score in conditions(study).items():
        scores = {s: stage.scores() for s, stage in by_score.items()}
        columns = _means(scores, reference)
        if version != "baseline":
            columns |= _steering(scores, study.seed)
        for metric, (interval, unit, n) in columns.items():
            paper = paper_value(f"table1.{version}.{metric}")
            facts = {"n": n, "paper": paper, "generation_seed": study.seed}
            result.add_interval(version, metric, interval, unit, **facts)
    return result


Columns = dict[str, tuple[Interval, str, int]]


def _means(scores: dict[float, Scores], reference: Array) -> Columns:
    """FAD and CLAP score, averaged over the input scores.

    The same prompts recur at every s, so the mean's interval is no narrower than one score's.
    """
    fads = [fad_interval(item.embeddings, reference) for item in scores.values()]
    fad, low, high = np.mean([(one.estimate, one.low, one.high) for one in fads], axis=0)
    clap = mean_interval(np.mean([item.clap for item in scores.values()], axis=0))
    n = sum(map(len, scores.values()))
    return {
        "fad": (Interval(float(fad), float(low), float(high)), "FAD", n),
        "clap": (clap, "cosine", n),
    }


def _steering(scores: dict[float, Scores], seed: int) -> Columns:
    """How far the output reward follows the input score."""
    rewards = {s: item.reward for s, item in scores.items()}
    n = sum(map(len, rewards.values()))
    correlation = score_correlation(rewards, numpy_generator(seed, "score-r"))
    return {
        "score_r": (correlation, "Pearson r", n),
        "delta_out": (delta_out(rewards), "reward", len(rewards[1.5])),
    }
