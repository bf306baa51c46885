"""Per-prompt scores as committed files, so that every p value can be recomputed without a model.

``results/<profile>/prompts/<experiment>.csv`` has a line per condition and prompt; what the prompts
are stands in ``captions.csv`` beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from attm_companion.study.conditions import ConditionStage
from attm_companion.study.result_files import result_path, results_folder, write_result, write_table
from attm_companion.study.results import Result
from attm_companion.study.stage import Stage, ancestry
from attm_companion.study.study import Study
from attm_core.errors import ResultError

if TYPE_CHECKING:
    from attm_companion.study.open_stages import Heard

LEADING = ("row", "s", "training_seed", "generation_seed", "prompt")
FOLDER = "prompts"
DIGITS = 13  # a test may be of differences of a millionth: with 9, its p moves by a thousandth


def write_scored(
    study: Study,
    result: Result,
    stages: Iterable[Stage],
    scored: Iterable[tuple[str, ConditionStage | Heard]] = (),
) -> Result:
    """Write a result, what the stages behind it took, and the scores of every prompt if any."""
    took = sum(stage.record()["wall_s"] for stage in ancestry(list(stages)))
    result.provenance["wall_s"] = round(took, 1)
    write_prompts(study, result.experiment, scored)
    write_result(result)
    return result


def write_prompts(
    study: Study, experiment: str, scored: Iterable[tuple[str, ConditionStage | Heard]]
) -> None:
    """Write the per-prompt scores of an experiment's conditions, each under its row; captions."""
    lines = [line for row, stage in scored for line in _lines(row, stage)]
    if not lines:
        return
    path = results_folder(study.profile.name) / FOLDER / f"{experiment}.csv"
    columns = dict.fromkeys(name for line in lines for name in line)
    write_table(path, columns, lines, DIGITS)
    captions = [
        {"split": protocol.split, "prompt": number, "caption": caption}
        for protocol in (study.evaluation, study.validation)
        for number, caption in enumerate(protocol.captions(study.frozen))
    ]
    write_table(path.with_name("captions.csv"), captions[0], captions)


def _lines(row: str, stage: ConditionStage | Heard) -> Iterator[dict[str, Any]]:
    """A line per prompt: the condition, then every score that is one number per prompt."""
    scores = stage.scores().per_prompt
    seeds = (stage.weights.seed, stage.protocol.seed)
    for number, values in enumerate(zip(*scores.values(), strict=True)):
        known = map(float, values)
        leading = dict(zip(LEADING, (row, stage.s, *seeds, number), strict=True))
        yield leading | dict(zip(scores, known, strict=True))


def read_prompts(profile: str, experiment: str) -> pd.DataFrame:
    """Scores of an experiment, a line per condition and prompt; else ``ResultError``."""
    path = result_path(f"{profile}/{FOLDER}", experiment)
    if not path.is_file():
        raise ResultError(f"{path} is missing; run `attm study --profile {profile}`")
    return pd.read_csv(path)
