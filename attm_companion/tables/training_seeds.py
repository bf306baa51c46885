"""Training seeds: the fifteen mechanisms of book/protocol.md, judged over trainings, not prompts.

One training seed starts everything that the paper trains; the frozen parts are trained once. A
contrast is one number per training seed, the difference of two conditions on the same prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from attm_companion.arrays import Array
from attm_companion.study.condition_scores import UNITS, Scores
from attm_companion.study.results import Result
from attm_companion.tables import conclusions
from attm_core.errors import ResultError
from attm_core.evaluation.frechet import frechet_distance
from attm_core.evaluation.statistics import Interval, holm, mean_interval, paired_t_test
from attm_core.randomness import numpy_generator

if TYPE_CHECKING:  # whoever reads the table needs no stage
    from attm_companion.study.conditions import ConditionStage, InferenceProtocol
    from attm_companion.study.open_stages import Heard

EXPERIMENT = "training_seeds"
OVER_BOTH = "training seeds and prompts"
# Section IV-C: "varies Reward by less than 0.05 and FAD-CLAP by less than 0.02". CLAP score has no
# such words; it is given FAD's.
MARGINS = {"reward": 0.05, "clap": 0.02, "fad": 0.02}


class Mechanism(NamedTuple):
    """One mechanism of the paper as a contrast of two conditions."""

    name: str  # in the paper's words
    row: str  # the condition
    against: str  # what it is compared with
    metric: str  # of `MARGINS`
    direction: int  # +1 or −1 as the paper has it, 0 for "no change"


MECHANISMS = (
    Mechanism("score knob of v1 (Δ_out)", "v1.high", "v1.low", "reward", 1),
    Mechanism("score knob of v2 (Δ_out)", "v2.high", "v2.low", "reward", 1),
    Mechanism("score conditioning lifts Reward", "v1", "baseline", "reward", 1),
    Mechanism("score conditioning lifts CLAP", "v1", "baseline", "clap", 1),
    Mechanism("expert iteration lifts Reward", "experts", "v1", "reward", 1),
    Mechanism("expert iteration lifts CLAP", "experts", "v1", "clap", 1),
    Mechanism("it is the experts that lift Reward", "experts", "control", "reward", 1),
    Mechanism("it is the experts that lower FAD", "experts", "control", "fad", -1),
    Mechanism("v1 → v2 costs no Reward (Stage 1)", "v1_v2", "v1", "reward", 0),
    Mechanism("v1 → v2 costs no Reward (Stage 2)", "experts_v2", "experts", "reward", 0),
    Mechanism("v2 → v1 loses Reward (Stage 1)", "v2_v1", "v2", "reward", -1),
    Mechanism("CRPO changes no Reward", "crpo", "experts_v2", "reward", 0),
    Mechanism("CRPO changes no CLAP", "crpo", "experts_v2", "clap", 0),
    Mechanism("the knob lifts Reward (Stage 1)", "v1.s2", "v1.s0", "reward", 1),
    Mechanism("the knob is flat (Stage 3)", "crpo.s5", "crpo.s0", "reward", 0),
)
# Beside the family of fifteen, without a verdict of their own: controls and second readings.
CONTROLS = (
    ("control", "v1"),
    ("random_64", "v1"),
    ("experts", "random_64"),
    ("crpo_x10", "experts_v2"),
    ("published.experts", "published.v1"),
    ("published.experts", "published.control"),
    ("experts.sampling", "experts"),
    ("experts.null", "experts"),
)
PAIRS = tuple(dict.fromkeys([*((m.row, m.against) for m in MECHANISMS), *CONTROLS]))

Scored = Mapping[int, Mapping[str, Scores]]


def add_conditions(
    result: Result,
    conditions: Mapping[int, Mapping[str, ConditionStage | Heard]],
    reference: Callable[[InferenceProtocol], Array],
) -> None:
    """One line per training seed, condition and metric: FAD and the mean of each score."""
    for seed, rows in conditions.items():
        for row, stage in rows.items():
            scores, protocol = stage.scores(), stage.protocol
            known = {"n": len(scores), "s": protocol.config.s, "generation_seed": protocol.seed}
            known["training_seed"] = seed
            fad = frechet_distance(scores.embeddings, reference(protocol))
            result.add(row, "fad", fad, UNITS["fad"], **known)
            for metric, values in scores.per_prompt.items():
                result.add(row, metric, values.mean(), UNITS.get(metric, "1"), **known)


def add_contrasts(result: Result, scored: Scored) -> None:
    """One line per mechanism and control: mean over seeds, interval, p, verdict.

    A second line, ``<metric>_new_prompts``, has the interval over seeds *and* prompts.
    """
    table = conclude(result)
    for line in table.reset_index().to_dict("records"):
        ends = {"low": line["low"], "high": line["high"], "n": line["seeds"]}
        test = "t over training seeds, Holm" if line["verdict"] else "t over training seeds"
        place = {"against": line["against"], "training_seed": None}
        result.add(
            line["row"], line["metric"], line["effect"], UNITS[line["metric"]],
            over="training seeds", test=test, p=line["p"], verdict=line["verdict"],
            **ends, **place,
        )  # fmt: skip
        if line["metric"] != "fad":
            both, n = over_both(scored, line["row"], line["against"], line["metric"])
            result.add_interval(
                line["row"], f"{line['metric']}_new_prompts", both, UNITS[line["metric"]],
                **{**place, "over": OVER_BOTH, "n": n},
            )  # fmt: skip


def over_both(scored: Scored, row: str, against: str, metric: str) -> tuple[Interval, int]:
    """A contrast with an interval over training seeds and prompts, and the number of differences.

    Two training seeds at least must have both rows; ``metric`` is one number per prompt.
    """
    differences = np.stack(
        [
            getattr(rows[row], metric) - getattr(rows[against], metric)
            for rows in scored.values()
            if {row, against} <= rows.keys()
        ]
    )
    rng = numpy_generator(0, EXPERIMENT, row, against, metric)
    return conclusions.two_way_bootstrap(differences, rng), differences.size


def by_seed(result: Result) -> pd.DataFrame:
    """Training seed × (row, metric): the lines of the table that are one seed's."""
    frame = result.frame
    frame = frame[frame["training_seed"].notna() & (frame["against"] == "")]
    return frame.pivot(index="training_seed", columns=["row", "metric"], values="value")


def contrast_of(seeds: pd.DataFrame, row: str, against: str, metric: str) -> pd.Series[float]:
    """The contrast of each training seed that has both conditions, from `by_seed`."""
    if not {(row, metric), (against, metric)} <= set(seeds.columns):
        return pd.Series(dtype=float)
    return (seeds[row, metric] - seeds[against, metric]).dropna()


def conclude(result: Result, seeds: Sequence[int] | None = None) -> pd.DataFrame:
    """What the seeds say of each mechanism, and of the controls beside them.

    Args:
        result: the table of all training seeds.
        seeds: use these only, for instance one half; all if None.

    Returns:
        A line per contrast: effect, t interval over seeds, p of difference and of equivalence
        (adjusted by Holm for the fifteen), verdict (empty for a control), minimum detectable
        effect, and, if undecided, the number of seeds that would detect an effect of the margin.

    Raises:
        ResultError: fewer than two seeds have the conditions of a mechanism.
    """
    table = by_seed(result)
    table = table if seeds is None else table[table.index.isin(seeds)]
    family = {(m.row, m.against, m.metric): m for m in MECHANISMS}
    beside = [(*pair, metric) for pair in PAIRS for metric in MARGINS]
    lines = []
    for place in dict.fromkeys([*family, *beside]):
        values = contrast_of(table, *place)
        if len(values) > 1:
            lines.append(_line(*place, values))
        elif place in family:
            name = family[place].name
            raise ResultError(f"{name}: fewer than two training seeds are complete")
    for name in ("p", "p_equivalence"):
        adjusted = holm([line[name] for line in lines[: len(MECHANISMS)]])
        for line, p in zip(lines, adjusted, strict=False):
            line[name] = p
    for line, m in zip(lines, MECHANISMS, strict=False):
        said = conclusions.verdict(line["effect"], m.direction, line["p"], line["p_equivalence"])
        line |= {"name": m.name, "paper": m.direction, "verdict": said}
    frame = pd.DataFrame(lines)
    wanted = frame["verdict"] == "undecided"
    frame["seeds_needed"] = frame["seeds_needed"].where(wanted).astype("Int64")
    return frame.set_index("name")


def _line(row: str, against: str, metric: str, values: pd.Series[float]) -> dict[str, Any]:
    x, sd, margin = values.to_numpy(dtype=float), float(values.std()), MARGINS[metric]
    found = mean_interval(x)
    return {
        "name": f"{row} − {against}: {metric}",
        "row": row,
        "against": against,
        "metric": metric,
        "paper": None,
        "effect": found.estimate,
        "low": found.low,
        "high": found.high,
        "p": paired_t_test(np.zeros_like(x), x).p,
        "p_equivalence": conclusions.equivalence_p(x, margin),
        "verdict": "",
        "detectable": conclusions.minimum_detectable_effect(float(x.std(ddof=1)), x.size),
        "seeds": x.size,
        "seeds_needed": conclusions.sample_size_for(margin, sd),
    }


def halves(result: Result) -> pd.DataFrame:
    """The verdict of each mechanism from all seeds, and from each half of two seeds or more."""
    seeds = list(by_seed(result).index)
    half = len(seeds) // 2
    parts = {"all": seeds, "first half": seeds[:half], "second half": seeds[half:]}
    said = {part: conclude(result, of)["verdict"] for part, of in parts.items() if len(of) > 1}
    table = pd.DataFrame(said).loc[[mechanism.name for mechanism in MECHANISMS]]
    if "first half" in table:
        table["agree"] = table["first half"] == table["second half"]
    return table
