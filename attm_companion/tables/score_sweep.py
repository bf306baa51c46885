"""Fig. 2: Reward and FAD-CLAP against the input score s, for the SFT-only and the hybrid model.

Beyond the figure: s below 0, intervals, and the Fourier bandwidth of the score embedding, which the
paper does not state and which decides what happens beyond the training range.
"""

import numpy as np

from attm_companion.paper_numbers import paper_value
from attm_companion.study.chain import Weights
from attm_companion.study.condition_scores import Scores, add_row
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.results import Result
from attm_companion.study.study import Study
from attm_core.evaluation.statistics import paired_t_test, pearson, spearman

LIFT_SCORES = (2.0, 5.0)  # the end of the paper's training range, and the deployed score
TRAINING_RANGE = (0.0, 2.0)  # Section IV-C calls s ∈ [0, 2] the training range
SWEPT_RANGE = (0.0, 6.0)  # what Fig. 2 shows
PAPER_READINGS = {
    ("sft", "rho"): "fig2.sft_rho",
    ("hybrid", "r"): "fig2.hybrid_r",
    ("hybrid", "reward_range"): "fig2.hybrid_reward_range_text",
    ("hybrid", "fad_range"): "fig2.hybrid_fad_range",
}


def conditions(study: Study) -> dict[str, dict[float, ConditionStage]]:
    """The generations behind the figure: model → s → condition."""
    sweep, protocol = study.profile.sweep, study.evaluation
    models: dict[str, Weights] = {"sft": study.sft("global_adaln"), "hybrid": study.crpo()}
    curves = {
        name: {s: study.condition(model, protocol, s=s) for s in sweep.scores}
        for name, model in models.items()
    }
    for bandwidth in sweep.bandwidths:
        model = study.sft("global_adaln", bandwidth=bandwidth)
        curves[f"bandwidth {bandwidth:g}"] = {
            s: study.condition(model, protocol, s=s) for s in sweep.bandwidth_scores
        }
    return curves


def tabulate(study: Study) -> Result:
    """The two curves of Fig. 2 and the statistics the paper reads off them."""
    result = study.result("score_sweep")
    reference = study.reference(study.evaluation)
    for name, by_score in conditions(study).items():
        curve = {s: stage.scores() for s, stage in sorted(by_score.items())}
        for s, scores in curve.items():
            add_row(result, name, scores, reference, s=s, generation_seed=study.seed)
        if name in ("sft", "hybrid"):
            _add_readings(result, name, study.seed)
            _add_lifts(result, name, curve, study.seed)
    return result


def _add_readings(result: Result, name: str, seed: int) -> None:
    """Correlation of the mean rewards with s, and the ranges of the two curves."""
    points = result.frame.query("row == @name and against == ''").pivot(index="s", columns="metric")
    curve = points["value"]
    inside, swept = curve.loc[slice(*TRAINING_RANGE)], curve.loc[slice(*SWEPT_RANGE)]
    readings = {
        "reward_range": (float(np.ptp(swept["reward"])), "reward", len(swept)),
        "fad_range": (float(np.ptp(swept["fad"])), "FAD", len(swept)),
    }
    if len(inside) > 2:
        rho = spearman(inside.index, inside["reward"])
        readings["rho"] = (rho.estimate, "Spearman ρ of means", len(inside))
    for metric, (value, unit, n) in readings.items():
        result.add(name, metric, value, unit, n=n, generation_seed=seed, paper=_paper(name, metric))
    if len(swept) > 3:
        r = pearson(swept.index, swept["reward"])
        facts = {"n": len(swept), "over": "input scores", "generation_seed": seed}
        unit = "Pearson r of means"
        result.add_interval(name, "r", r, unit, paper=_paper(name, "r"), **facts)


def _paper(name: str, reading: str) -> float | None:
    key = PAPER_READINGS.get((name, reading))
    return paper_value(key) if key else None


def _add_lifts(result: Result, name: str, curve: dict[float, Scores], seed: int) -> None:
    """Reward at two scores fixed beforehand minus Reward at s = 0, prompt by prompt.

    The best score of a curve, picked from the same data, would look like a lift on a flat one.
    """
    for s in LIFT_SCORES:
        if s not in curve or 0.0 not in curve:
            continue
        test = paired_t_test(curve[0.0].reward, curve[s].reward)
        paper = None
        if s == TRAINING_RANGE[1] and name == "sft":
            paper = paper_value("fig2.sft_reward_s2") - paper_value("fig2.sft_reward_s0")
        facts = {"s": s, "paper": paper, "generation_seed": seed}
        result.add_test(name, "s=0", "reward", test, "reward", **facts)
