"""What the selection rule saw: FAD on the validation split, post-processing on and off (III-E)."""

from threadpoolctl import threadpool_limits

from attm_companion.study.condition_scores import UNITS
from attm_companion.study.results import Result
from attm_companion.study.seed_study import Reading, distances
from attm_companion.study.study import Study

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
