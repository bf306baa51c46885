"""What the paper leaves open, asked of the miniature (book/protocol.md, *Open questions*).

Each tier answers one question for one training seed, on the cached chain of the study of seeds.
"""

from dataclasses import replace
from itertools import product

from attm_companion.study.chain import first_stage
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.open_stages import BestOfStage, Heard, SeparatorCheckStage, UNetStage
from attm_companion.study.profile import MiniCast
from attm_companion.study.seed_study import V1, V2, Reading
from attm_companion.study.stage import Stage
from attm_companion.study.study import Study
from attm_core.constants import HeadName
from attm_core.randomness import derived_seed

N_PROMPTS = 100  # that are read, in the paper and at `mini`
N_ROUNDS = 3
WEIGHTS = (1.0, 2.0, 4.0)  # of guidance, on text and on score
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)  # of the steps of Stage 1
Rows = dict[str, Stage]


def separator(study: Study, reading: Reading) -> Rows:
    """The true-stem ceiling, the same stage for all training seeds; none without known stems."""
    if not isinstance(study.profile.cast, MiniCast):
        return {}
    check = SeparatorCheckStage(
        evaluator=study.evaluator,
        protocol=study.evaluation.changed(split="valid", reference="valid", n_listening=0),
    )
    return {"separator": check}


def guidance(study: Study, reading: Reading) -> Rows:
    """v1 under a weight on the text and one on the score; equal ones are the joint guidance."""
    read, v1 = reading.of(study.evaluation), study.sft(V1)
    return {
        f"w={w:g}, w_score={w_score:g}": study.condition(
            v1, read.changed(w=w, w_score=None if w == w_score else w_score), s=reading.s
        )
        for w, w_score in product(WEIGHTS, WEIGHTS)
    }


def crossing(study: Study, reading: Reading) -> Rows:
    """v1 and v2 after a part of Stage 1, in their own forward and in the other's."""
    read, whole = reading.of(study.evaluation), study.profile.sft
    rows: Rows = {}
    for share, (name, head, other) in product(SHARES, (("v1", V1, V2), ("v2", V2, V1))):
        n_steps = max(2, round(share * whole.n_steps))
        warmup = min(whole.warmup_steps, n_steps - 1)
        training = replace(whole, n_steps=n_steps, warmup_steps=warmup)
        model = study.sft(head).changed(training=training)
        rows[f"{name} after {n_steps}"] = study.condition(model, read, s=reading.s)
        rows[f"{name} crossed after {n_steps}"] = study.condition(
            model, read, s=reading.s, forward=other
        )
    return rows


def best_of(study: Study, reading: Reading) -> Rows:
    """As many samples per prompt as make the sampling of Stage 2 and its reading equal."""
    read = reading.of(study.evaluation).changed(s=reading.s)
    stage = BestOfStage(
        weights=study.sft(V1),
        protocol=read,
        evaluator=study.evaluator,
        n=max(2, 1 + round(study.profile.expert.n_samples / N_PROMPTS)),
        launch=study.profile.resources.generation,
    )
    return {"best_of": stage, "experts": study.condition(study.expert(V1), read, s=reading.s)}


def rounds(study: Study, reading: Reading) -> Rows:
    """Stage 2 again and again, each time from the samples of the model before."""
    read, model = reading.of(study.evaluation), study.expert(V1)
    rows: Rows = {"v1": study.condition(study.sft(V1), read, s=reading.s)}
    for number in range(1, N_ROUNDS + 1):
        rows[f"round {number}"] = study.condition(model, read, s=reading.s)
        seed = derived_seed(study.training_seed, "round", number + 1)
        model = model.changed(start=model, seed=seed)
    return rows


def unet(study: Study, reading: Reading, head: HeadName = V1) -> Rows:
    """Another backbone, read as Table I reads a head; and the same head on ours."""
    name, version = ("unet", "v1") if head == V1 else ("unet_v2", "v2")
    table1 = study.validation.changed(n_listening=0)
    read = {f"{name}.low": table1.changed(s=-0.5), f"{name}.high": table1.changed(s=1.5)}
    read[name] = reading.of(study.evaluation).changed(s=reading.s)
    ours = study.sft(head)
    stage = UNetStage(
        features=study.features,
        backbone=study.profile.backbone,
        head=head,
        training=study.profile.sft,
        seed=study.training_seed,
        protocols=read,
        evaluator=study.evaluator,
        launch=study.profile.resources.training,
    )
    own = {f"{version}.{end}": read[f"{name}.{end}"].config.s for end in ("low", "high")}
    return {name: stage} | {row: study.condition(ours, table1, s=s) for row, s in own.items()}


def unet_v2(study: Study, reading: Reading) -> Rows:
    """The same with the score at the input; last of all."""
    return unet(study, reading, V2)


# In the order in which they should be answered if the time is short.
TIERS = (separator, best_of, rounds, crossing, guidance, unet, unet_v2)


def answered(study: Study, reading: Reading) -> Rows:
    """The rows of all questions whose stages are in the cache for this training seed."""
    found: Rows = {}
    for tier in TIERS:
        rows = tier(study, reading)
        if all(stage.done for stage in rows.values()):
            found |= rows
    return found


def heard(rows: Rows) -> dict[str, Heard]:
    """What each row scored; a stage that stands for several is taken apart."""
    found: dict[str, Heard] = {}
    for row, stage in rows.items():
        if isinstance(stage, BestOfStage | UNetStage):
            found |= stage.heard()
        elif isinstance(stage, ConditionStage):
            found[row] = Heard(stage.scores(), stage.protocol, first_stage(stage.weights))
    return found
