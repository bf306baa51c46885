"""Table III: {SFT only, chain end} × {v1, v2 weights} × {v1, v2 forward}, and two submissions.

The difference of every cell from Sub. 1 is tested prompt by prompt (paired t, two-sided); the paper
marks a tie (p ≥ 0.05) by ``*``. So is the difference of a crossed cell from its native one.
"""

from typing import Any

from attm_companion.arrays import Array
from attm_companion.study import condition_scores as scoring
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.results import Result
from attm_companion.study.study import Study
from attm_core.constants import HEADS

CROSSINGS = (("v1", "v2"), ("v2", "v1"))


def conditions(study: Study) -> dict[str, ConditionStage]:
    """The generations behind the table, by the keys of ``paper.yaml`` below ``table3``."""
    s, protocol = study.profile.generation.s, study.evaluation
    cells = {}
    for weights in ("v1", "v2"):
        for forward in ("v1", "v2"):
            cell = f"{weights}_{forward}"
            head = HEADS[forward]
            for stage, model in (
                ("sft", study.sft(HEADS[weights])),
                ("chain", study.expert(HEADS[weights])),
            ):
                cells[f"{stage}.{cell}"] = study.condition(model, protocol, s=s, forward=head)
    # PAPER-SILENT: Table III labels the native v2 chain-end cell "(CRPO)" although the text defines
    # chain end as before CRPO. The cell of the factorial is the one the text defines; the other
    # reading stands beside it as an extra row.
    cells["chain.v2_v2_crpo"] = study.condition(study.crpo("input_add"), protocol, s=s)
    for name, seed in (("sub1", study.seed), ("sub2", study.profile.generation.sub2_seed)):
        cells[name] = study.condition(study.crpo(), protocol.changed(seed=seed), s=s)
    return cells


def tabulate(study: Study) -> Result:
    """Every number of Table III, ours beside the paper's, with ties and crossings."""
    result = study.result("cross_mechanism")
    reference, s = study.reference(study.evaluation), study.profile.generation.s
    scores = {cell: stage.scores() for cell, stage in conditions(study).items()}
    for cell, item in scores.items():
        paper = None if cell == "chain.v2_v2_crpo" else scoring.paper_row(f"table3.{cell}")
        seed = study.profile.generation.sub2_seed if cell == "sub2" else study.seed
        scoring.add_row(result, cell, item, reference, paper, s=s, generation_seed=seed)
    facts: dict[str, Any] = {"s": s, "generation_seed": study.seed}
    for cell in scores:
        if not cell.startswith("sub"):
            scoring.add_paired(result, ("sub1", cell), scores, **facts)
    for stage in ("sft", "chain"):
        for weights, other in CROSSINGS:
            cells = (f"{stage}.{weights}_{weights}", f"{stage}.{weights}_{other}")
            _add_crossing(result, cells, scores, reference, **facts)
    return result


def _add_crossing(
    result: Result,
    cells: tuple[str, str],
    scores: dict[str, scoring.Scores],
    reference: Array,
    **facts: float,
) -> None:
    """What a crossing costs against the native cell of the same weights."""
    native, crossed = cells
    rows = [scoring.paper_row(f"table3.{cell}") for cell in cells]
    printed = {metric: rows[1][metric] - rows[0][metric] for metric in scoring.METRICS}
    difference = scoring.fad_difference(scores[native], scores[crossed], reference)
    known = {"against": native, "n": len(scores[native]), "paper": printed["fad"], **facts}
    result.add_interval(crossed, "fad", difference, "FAD", **known)
    scoring.add_paired(result, cells, scores, paper=printed, **facts)
