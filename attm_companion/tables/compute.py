"""Section III-D(e): the compute account, what each stage of this run cost."""

from itertools import groupby

from attm_companion.paper_numbers import paper_value
from attm_companion.study.results import Result
from attm_companion.study.stage import Stage, ancestry
from attm_companion.study.study import Study


def tabulate(study: Study, stages: list[Stage]) -> Result:
    """Processor time and memory of every stage, summed by kind."""
    result = study.result("compute")
    records = sorted((stage.record() for stage in ancestry(stages)), key=lambda one: one["label"])
    for kind, group in groupby(records, key=lambda one: one["label"]):
        costs = list(group)
        seconds = sum(cost["cpu_s"] for cost in costs)
        memory = max(cost["peak_memory_mb"] for cost in costs)
        result.add(kind, "processor_time", seconds, "core-seconds", n=len(costs))
        result.add(kind, "peak_memory", memory, "MB", n=len(costs))
    total = sum(record["cpu_s"] for record in records) / 3600
    paper = paper_value("text.total_gpu_hours")
    unit = "core-hours (paper: GPU-hours)"
    result.add("all stages", "processor_time", total, unit, n=len(records), paper=paper)
    return result
