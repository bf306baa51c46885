"""Section III-D(a): the same training with the reward of the full mix and of the instrumental stem.

The paper's reason for the stem: the full-mix reward partly tracks voices, and the generator learns
to insert vocal-like sound. So beside FAD stands what the separator finds of a voice in the output.
"""

from attm_companion.paper_numbers import paper_value
from attm_companion.study.chain import RewardColumn
from attm_companion.study.condition_scores import add_row
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.results import Result
from attm_companion.study.study import Study
from attm_core.evaluation.statistics import mean_interval, paired_t_test

PAPER_FAD = {"instrumental": "text.instrumental_fad", "full_mix": "text.full_mix_fad"}
INPUT_SCORE = 1.5


def conditions(study: Study) -> dict[str, ConditionStage]:
    """The two runs, under Table I's protocol at the highest of its input scores."""
    # PAPER-SILENT: 0.337 is Table I's InputAdd figure, so both runs are taken to be InputAdd models
    # under the protocol of Table I; the input score is not given.
    columns: dict[str, RewardColumn] = {
        "instrumental": "instrumental_reward_score",
        "full_mix": "reward_score",
    }
    models = {name: study.sft("input_add", reward=column) for name, column in columns.items()}
    protocol = study.validation.changed(vocals=True)
    return {name: study.condition(model, protocol, s=INPUT_SCORE) for name, model in models.items()}


def tabulate(study: Study) -> Result:
    """FAD, reward and vocal level of both runs, and the paired difference in vocal level."""
    result = study.result("full_mix")
    reference = study.reference(study.validation)
    scores = {name: stage.scores() for name, stage in conditions(study).items()}
    facts = {"s": INPUT_SCORE, "generation_seed": study.seed}
    for name, item in scores.items():
        paper = {"fad": paper_value(PAPER_FAD[name])}
        add_row(result, name, item, reference, paper, **facts)
        level = mean_interval(item.vocals_db)
        result.add_interval(name, "vocals", level, "dB below the clip", n=len(item), **facts)
    test = paired_t_test(scores["instrumental"].vocals_db, scores["full_mix"].vocals_db)
    verdict = "louder voice" if test.significant() and test.t > 0 else "no louder voice"
    result.add_test("full_mix", "instrumental", "vocals", test, "dB", verdict=verdict, **facts)
    return result
