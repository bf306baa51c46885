"""As written against as released: where the public code departs from the text, does it matter?

Each variant changes one thing of the deployed inference (Section III-E) and is compared with it
prompt by prompt.
"""

from __future__ import annotations

from attm_companion.study.condition_scores import Scores, add_row
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.results import Result
from attm_companion.study.study import Study
from attm_core.evaluation.statistics import paired_t_test
from attm_core.generation.guidance import RELEASED_NEGATIVE_PROMPT

EXPERIMENT = "variants"


def conditions(study: Study) -> dict[str, ConditionStage]:
    """The deployed condition and its variants, by name."""
    s, model, protocol = study.profile.generation.s, study.crpo(), study.evaluation
    changes = {
        "as_written": protocol,
        "one_seed": protocol.changed(one_seed=True),
        "negative_prompt": protocol.changed(negative=RELEASED_NEGATIVE_PROMPT),
        "post_as_released": protocol.changed(post="as_released"),
        "no_post": protocol.changed(post="none"),
        "no_prefix": protocol.changed(prefix=""),
        "ema": protocol.changed(sigma_rel=0.05),
    }
    cells = {name: study.condition(model, changed, s=s) for name, changed in changes.items()}
    cells["w1"] = study.condition(model, protocol.changed(w=1.0), s=s)
    return cells


def tabulate(study: Study) -> Result:
    """Every variant's row and its paired difference from the inference as written."""
    result = study.result(EXPERIMENT)
    reference = study.reference(study.evaluation)
    scores = {name: stage.scores() for name, stage in conditions(study).items()}
    for name, item in scores.items():
        add_row(result, f"variant.{name}", item, reference, seed=study.seed)
        if name != "as_written":
            _add_difference(result, name, scores["as_written"], item)
    return result


def _add_difference(result: Result, name: str, base: Scores, variant: Scores) -> None:
    for metric in ("clap", "reward"):
        test = paired_t_test(getattr(base, metric), getattr(variant, metric))
        result.add(
            f"variant.{name}.{metric}.change",
            test.difference.estimate,
            "difference",
            n=test.n,
            low=test.difference.low,
            high=test.difference.high,
            verdict="changes" if test.significant() else "no change seen",
        )
