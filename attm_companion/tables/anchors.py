"""Floor and ceiling of every metric, and whether trained models follow their prompts at all.

Floor: Gaussian noise and shuffled prompts. Ceiling: the codec's round trip and real held-out clips.
A table of generated music means little without these rows.
"""

from attm_companion.study.condition_scores import UNITS, add_row
from attm_companion.study.conditions import AnchorStage, ConditionStage
from attm_companion.study.results import Result
from attm_companion.study.study import Study
from attm_core.constants import HEADS
from attm_core.evaluation.clap_score import shuffled_cosines
from attm_core.evaluation.statistics import paired_t_test

ALPHA = 0.01
SHUFFLED = "shuffled prompts"


def anchors(study: Study) -> AnchorStage:
    """The stage that scores noise, the round trip and real clips."""
    return study.anchors()


def conditions(study: Study) -> dict[str, ConditionStage]:
    """One generation of each trained model, at the deployed score."""
    s, protocol = study.profile.generation.s, study.evaluation
    models = {version: study.sft(head) for version, head in HEADS.items()}
    cells = {f"sft_{v}": study.condition(model, protocol, s=s) for v, model in models.items()}
    cells["baseline"] = study.condition(study.baseline(), protocol, s=None)
    cells["expert_v1"] = study.condition(study.expert("global_adaln"), protocol, s=s)
    cells["expert_v2"] = study.condition(study.expert("input_add"), protocol, s=s)
    cells["crpo"] = study.condition(study.crpo(), protocol, s=s)
    return cells


def tabulate(study: Study) -> Result:
    """Anchor rows, and matched against shuffled CLAP score of each trained model."""
    result = study.result("anchors")
    reference = study.reference(study.evaluation)
    for name, scores in anchors(study).scores().items():
        add_row(result, name, scores, reference, generation_seed=study.seed)
    text = study.prompt_embeddings(study.evaluation)
    for name, stage in conditions(study).items():
        scores = stage.scores()
        control = shuffled_cosines(text, scores.embeddings)
        test = paired_t_test(control, scores.clap, alternative="greater")
        verdict = "follows prompts" if test.significant(ALPHA) else "does not follow prompts"
        facts = {"generation_seed": study.seed, "verdict": verdict}
        result.add_test(name, SHUFFLED, "clap", test, UNITS["clap"], **facts)
    return result
