"""Fig. 2: Reward and FAD-CLAP against the input score s, for the SFT-only and the hybrid model.

Beyond the figure: s below 0, intervals, and the Fourier bandwidth of the score embedding, which the
paper does not state and which decides what happens beyond the training range.
"""

from __future__ import annotations

import numpy as np

from attm_companion.paper_numbers import paper_value
from attm_companion.study.arrays import Array
from attm_companion.study.chain import Weights
from attm_companion.study.condition_scores import Scores, add_row
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.results import Result
from attm_companion.study.study import Study
from attm_core.evaluation.frechet import frechet_distance
from attm_core.evaluation.statistics import mean_interval, pearson, spearman

EXPERIMENT = "score_sweep"
LIFT_SCORES = (2.0, 5.0)  # the end of the paper's training range, and the deployed score
PAPER_LIFT_SCORE = 2.0
TRAINING_RANGE = (0.0, 2.0)  # Section IV-C calls s ∈ [0, 2] the training range

Curve = dict[float, Scores]


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
        curves[f"bandwidth{bandwidth:g}"] = {
            s: study.condition(model, protocol, s=s) for s in sweep.bandwidth_scores
        }
    return curves


def tabulate(study: Study) -> Result:
    """The two curves of Fig. 2 and the statistics the paper reads off them."""
    result = study.result(EXPERIMENT)
    reference = study.reference(study.evaluation)
    for name, by_score in conditions(study).items():
        curve = {s: stage.scores() for s, stage in sorted(by_score.items())}
        for s, scores in curve.items():
            add_row(result, f"fig2.{name}.s{s:g}", scores, reference, seed=study.seed)
        if name in ("sft", "hybrid"):
            _add_reading(result, name, curve, reference)
    return result


def _add_reading(result: Result, name: str, curve: Curve, reference: Array) -> None:
    rewards = {s: float(scores.reward.mean()) for s, scores in curve.items()}
    low, high = TRAINING_RANGE
    inside = [s for s in curve if low <= s <= high]
    deployed = [s for s in curve if 0 <= s <= 6]
    if len(inside) > 2:
        rho = spearman(inside, [rewards[s] for s in inside])
        paper = paper_value("fig2.sft_rho") if name == "sft" else None
        result.add(
            f"fig2.{name}.rho", rho.estimate, "Spearman ρ of means", n=len(inside), paper=paper
        )
    if len(deployed) > 3:
        r = pearson(deployed, [rewards[s] for s in deployed])
        paper = paper_value("fig2.hybrid_r") if name == "hybrid" else None
        facts = {"n": len(deployed), "low": r.low, "high": r.high, "paper": paper}
        result.add(f"fig2.{name}.r", r.estimate, "Pearson r of means", **facts)
    _add_ranges(result, name, curve, deployed, reference)


def _add_ranges(
    result: Result, name: str, curve: Curve, deployed: list[float], reference: Array
) -> None:
    rewards = np.stack([curve[s].reward for s in deployed])
    fads = [frechet_distance(curve[s].embeddings, reference) for s in deployed]
    means = rewards.mean(axis=1)
    hybrid = name == "hybrid"
    result.add(
        f"fig2.{name}.reward_range",
        float(np.ptp(means)),
        "reward",
        n=len(deployed),
        paper=paper_value("fig2.hybrid_reward_range_text") if hybrid else None,
    )
    result.add(
        f"fig2.{name}.fad_range",
        float(np.ptp(fads)),
        "FAD",
        n=len(deployed),
        paper=paper_value("fig2.hybrid_fad_range") if hybrid else None,
    )
    _add_lifts(result, name, curve)


def _add_lifts(result: Result, name: str, curve: Curve) -> None:
    """Reward at two scores fixed beforehand minus Reward at s = 0, prompt by prompt.

    The best score of a curve, picked from the same data, would look like a lift on a flat one.
    """
    for s in LIFT_SCORES:
        if s not in curve or 0.0 not in curve:
            continue
        lift = mean_interval(curve[s].reward - curve[0.0].reward)
        paper = s == PAPER_LIFT_SCORE and name == "sft"
        result.add(
            f"fig2.{name}.lift{s:g}",
            lift.estimate,
            f"reward at s = {s:g} minus at 0",
            n=len(curve[s]),
            low=lift.low,
            high=lift.high,
            paper=paper_value("fig2.sft_reward_s2") - paper_value("fig2.sft_reward_s0")
            if paper
            else None,
        )
