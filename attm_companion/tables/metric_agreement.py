"""Which metric follows true utility? What only a simulated world can tell (beyond the paper).

Every condition that is generated on the evaluation prompts gets the paper's metrics and those that
the field asks for beside them. True utility, what a clip is worth to the world's listeners, is the
oracle's estimate; nothing was trained or selected by it.
"""

import numpy as np

from attm_companion.arrays import Array
from attm_companion.study.condition_scores import Scores, add_row
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.results import Result
from attm_companion.study.study import Study
from attm_companion.tables import cross_mechanism, cumulative, variants
from attm_companion.tables.distances import density_and_coverage, kernel_distance, mauve_divergence
from attm_core.evaluation.frechet import frechet_by_size, frechet_infinity
from attm_core.evaluation.statistics import pearson, spearman
from attm_core.randomness import numpy_generator

TRUTH = "utility"
IN_TABLE_2 = ("sft.v1_v1", "chain.v1_v1", "chain.v1_v2", "sub1", "sub2", "as_written")
SHARES = (0.4, 0.6, 0.8, 1.0)  # of the clips, for FAD against their number
DISTANCES = ("fad", "fad_infinity", "kad", "mad", "density", "coverage")
MEANS = ("clap", "reward", "ccs")


def conditions(study: Study) -> dict[str, ConditionStage]:
    """All conditions of Tables II and III and of the variants, each once."""
    table2 = {
        f"{row}, seed {seed}": stage
        for row, by_seed in cumulative.conditions(study).items()
        for seed, stage in by_seed.items()
    }
    others = {**cross_mechanism.conditions(study), **variants.conditions(study)}
    return table2 | {name: stage for name, stage in others.items() if name not in IN_TABLE_2}


def tabulate(study: Study) -> Result:
    """Every metric of every condition, and its correlation with true utility."""
    result = study.result("metric_agreement")
    reference = study.reference(study.evaluation)
    rows = {name: stage.scores() for name, stage in conditions(study).items()}
    for name, scores in rows.items():
        add_row(result, name, scores, reference, generation_seed=study.seed)
        for metric, value in distances(scores.embeddings, reference, study.seed).items():
            result.add(name, metric, value, "1", n=len(scores), generation_seed=study.seed)
    if all(TRUTH in scores.per_prompt for scores in rows.values()):
        _add_over_conditions(result, rows)
        _add_within(result, rows)
    return result


def distances(embeddings: Array, reference: Array, seed: int) -> dict[str, float]:
    """The metrics beside FAD, of embeddings (n, P) against a reference (m, P), by name.

    The published MAD is of MERT's embeddings; these are of the evaluation CLAP model.
    """
    sizes = sorted({max(2, round(share * len(embeddings))) for share in SHARES})
    by_size = frechet_by_size(embeddings, reference, sizes, numpy_generator(seed, "fad-sizes"))
    density, coverage = density_and_coverage(embeddings, reference)
    return {
        "fad_infinity": frechet_infinity(sizes, by_size),
        "kad": kernel_distance(embeddings, reference),
        "mad": mauve_divergence(embeddings, reference, numpy_generator(seed, "mad")),
        "density": density,
        "coverage": coverage,
    }


def _add_over_conditions(result: Result, rows: dict[str, Scores]) -> None:
    """Spearman's ρ over conditions of each metric with utility; a distance counts downwards."""
    truth = [result[f"{TRUTH} of {name}"].value for name in rows]
    for metric in (*DISTANCES, *MEANS):
        sign = -1.0 if metric in DISTANCES[:4] else 1.0
        values = [sign * result[f"{metric} of {name}"].value for name in rows]
        if np.ptp(values) and np.ptp(truth):
            rho = spearman(values, truth)
            facts = {"over": "conditions", "n": len(rows), "against": TRUTH}
            result.add_interval("over conditions", metric, rho, "Spearman ρ", **facts)


def _add_within(result: Result, rows: dict[str, Scores]) -> None:
    """Pearson's r over the clips of one condition, mean over conditions with its spread."""
    for metric in MEANS:
        found = [
            pearson(scores.per_prompt[metric], scores.per_prompt[TRUTH]).estimate
            for scores in rows.values()
            if np.ptp(scores.per_prompt[metric]) and np.ptp(scores.per_prompt[TRUTH])
        ]
        if found:
            low, high = np.quantile(found, [0.025, 0.975])
            facts = {"low": float(low), "high": float(high), "over": "conditions"}
            known = {"n": len(found), "against": TRUTH, **facts}
            result.add("within a condition", metric, float(np.mean(found)), "Pearson r", **known)
