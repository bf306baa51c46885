"""What the selection rule saw: FAD on the validation split, post-processing on and off (III-E).

With it is written what the selected reading gives under each training seed.
"""

from collections.abc import Sequence
from dataclasses import asdict

from threadpoolctl import threadpool_limits

from attm_companion.study.condition_scores import UNITS
from attm_companion.study.per_prompt import write_scored
from attm_companion.study.result_files import write_result
from attm_companion.study.results import Result
from attm_companion.study.seed_study import Reading, complete, distances
from attm_companion.study.study import Study
from attm_companion.tables import training_seeds

RAW, PROCESSED = "raw", "post-processed"


def tabulate(study: Study, selected: Reading) -> Result:
    """A line per reading that may be selected, from the cache of the first training seed."""
    result = study.result("selection")
    with threadpool_limits(limits=1):
        found = distances(study)
    for reading, fad in found.items():
        row = f"w={reading.w:g} {PROCESSED if reading.post else RAW}"
        verdict = "selected" if reading == selected else ""
        result.add(row, "fad", fad, UNITS["fad"], s=reading.s, verdict=verdict)
    return result


def write_seeds(studies: Sequence[Study], reading: Reading) -> None:
    """Tabulate the seeds that are complete, if any, and write the results."""
    found = {study.training_seed: complete(study, reading) for study in studies}
    conditions = {seed: rows for seed, rows in found.items() if rows}
    if not conditions:
        return
    result = studies[0].result(training_seeds.EXPERIMENT)
    result.provenance["selected"] = asdict(reading)
    with threadpool_limits(limits=1):
        training_seeds.add_conditions(result, conditions, studies[0].reference)
        if len(conditions) > 1:
            scored = {k: {r: c.scores() for r, c in rows.items()} for k, rows in conditions.items()}
            training_seeds.add_contrasts(result, scored)
    made = [item for rows in conditions.values() for item in rows.items()]
    write_scored(studies[0], result, [stage for _, stage in made], made)
    write_result(tabulate(studies[0], reading))
