"""As written against as released: where the public code departs from the text, does it matter?

Each variant changes one thing of the deployed inference (Section III-E) and is compared with it
prompt by prompt.
"""

from typing import Any

from attm_companion.study.condition_scores import add_paired, add_row
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.results import Result
from attm_companion.study.study import Study
from attm_core.generation.guidance import RELEASED_NEGATIVE_PROMPT

WRITTEN = "as_written"


def conditions(study: Study) -> dict[str, ConditionStage]:
    """The deployed condition and its variants, by name."""
    s, model, protocol = study.profile.generation.s, study.crpo(), study.evaluation
    changes = {
        WRITTEN: protocol,
        "one_seed": protocol.changed(one_seed=True),
        "negative_prompt": protocol.changed(negative_prompt=RELEASED_NEGATIVE_PROMPT),
        "post_as_released": protocol.changed(variant="as_released"),
        "no_post": protocol.changed(n_passes=0, target_lufs=None),
        "no_prefix": protocol.changed(prefix=""),
        "ema": protocol.changed(sigma_rel=0.05),
        "w1": protocol.changed(w=1.0),
    }
    return {name: study.condition(model, changed, s=s) for name, changed in changes.items()}


def tabulate(study: Study) -> Result:
    """Every variant's row and its paired difference from the inference as written."""
    result = study.result("variants")
    reference = study.reference(study.evaluation)
    facts: dict[str, Any] = {"s": study.profile.generation.s, "generation_seed": study.seed}
    scores = {name: stage.scores() for name, stage in conditions(study).items()}
    for name, item in scores.items():
        add_row(result, name, item, reference, **facts)
        if name != WRITTEN:
            add_paired(result, (WRITTEN, name), scores, **facts)
    return result
