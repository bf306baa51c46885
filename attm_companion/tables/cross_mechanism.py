"""Table III: {SFT only, chain end} × {v1, v2 weights} × {v1, v2 forward}, and two submissions.

``*`` marks cells tied with Sub. 1 prompt by prompt (paired t, two-sided, p ≥ 0.05).
"""

from __future__ import annotations

from attm_companion.paper_numbers import paper_value
from attm_companion.study.condition_scores import Scores, add_row
from attm_companion.study.conditions import ConditionStage
from attm_companion.study.results import Result
from attm_companion.study.study import HEADS, Study
from attm_core.evaluation.statistics import paired_t_test

EXPERIMENT = "cross_mechanism"


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
        cells[name] = study.condition(study.crpo(), protocol.with_seed(seed), s=s)
    return cells


def tabulate(study: Study) -> Result:
    """Every number of Table III, ours beside the paper's, with ties against Sub. 1."""
    result = study.result(EXPERIMENT)
    reference = study.reference(study.evaluation)
    scores = {key: stage.scores() for key, stage in conditions(study).items()}
    for key, item in scores.items():
        paper = None if key == "chain.v2_v2_crpo" else f"table3.{key}"
        seed = study.profile.generation.sub2_seed if key == "sub2" else study.seed
        add_row(result, f"table3.{key}", item, reference, paper, seed)
        if not key.startswith("sub"):
            _add_ties(result, key, scores["sub1"], item)
    _add_transfer(result, scores)
    return result


def _add_ties(result: Result, key: str, sub1: Scores, cell: Scores) -> None:
    for metric in ("clap", "reward"):
        test = paired_t_test(getattr(sub1, metric), getattr(cell, metric))
        worse = test.difference.estimate < 0
        verdict = ("worse" if worse else "better") if test.significant() else "*"
        result.add(
            f"tie.{key}.{metric}",
            test.difference.estimate,
            "difference from Sub. 1",
            n=test.n,
            low=test.difference.low,
            high=test.difference.high,
            verdict=verdict,
        )
        result.add(f"tie.{key}.{metric}.p", test.p, "p, two-sided", n=test.n)


def _add_transfer(result: Result, scores: dict[str, Scores]) -> None:
    """What each crossing costs against the native cell of the same weights."""
    for stage in ("sft", "chain"):
        for weights, other in (("v1", "v2"), ("v2", "v1")):
            native = result[f"table3.{stage}.{weights}_{weights}.fad"]
            cross = result[f"table3.{stage}.{weights}_{other}.fad"]
            paper = (cross.paper or 0.0) - (native.paper or 0.0)
            result.add(
                f"transfer.{stage}.{weights}_{other}.fad",
                cross.value - native.value,
                "FAD difference",
                n=native.n,
                paper=paper,
            )
            cells = (f"{stage}.{weights}_{weights}", f"{stage}.{weights}_{other}")
            for metric in ("clap", "reward"):
                _add_crossing(result, metric, cells, scores)


def _add_crossing(
    result: Result, metric: str, cells: tuple[str, str], scores: dict[str, Scores]
) -> None:
    """The paired difference of one crossing, prompt by prompt."""
    native, crossed = cells
    test = paired_t_test(getattr(scores[native], metric), getattr(scores[crossed], metric))
    result.add(
        f"transfer.{crossed}.{metric}",
        test.difference.estimate,
        "difference from the native cell",
        n=test.n,
        low=test.difference.low,
        high=test.difference.high,
        paper=paper_value(f"table3.{crossed}.{metric}") - paper_value(f"table3.{native}.{metric}"),
    )
    result.add(f"transfer.{crossed}.{metric}.p", test.p, "p, two-sided", n=test.n)
