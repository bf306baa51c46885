"""Section III-D(e): the compute account, what each stage of this run cost."""

import pandas as pd

from attm_companion.paper_numbers import paper_value
from attm_companion.study.results import Result
from attm_companion.study.stage import Stage, ancestry
from attm_companion.study.study import Study


def tabulate(study: Study, stages: list[Stage]) -> Result:
    """Processor time and memory of every stage, summed by kind."""
    result = study.result("compute")
    records = pd.DataFrame([stage.record() for stage in ancestry(stages)])
    for kind, costs in records.groupby("label"):
        seconds, memory = costs["cpu_s"].sum(), costs["peak_memory_mb"].max()
        result.add(str(kind), "processor_time", seconds, "core-seconds", n=len(costs))
        result.add(str(kind), "peak_memory", memory, "MB", n=len(costs))
    total = records["cpu_s"].sum() / 3600
    paper = paper_value("text.total_gpu_hours")
    unit = "core-hours (paper: GPU-hours)"
    result.add("all stages", "processor_time", total, unit, n=len(records), paper=paper)
    return result
