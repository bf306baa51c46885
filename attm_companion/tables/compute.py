"""Section III-D(e): the compute account, what each stage of this run cost."""

from __future__ import annotations

from typing import Any

from attm_companion.paper_numbers import paper_value
from attm_companion.study.results import Result
from attm_companion.study.stage import Stage, ancestry
from attm_companion.study.study import Study

EXPERIMENT = "compute"


def tabulate(study: Study, stages: list[Stage]) -> Result:
    """Processor time and memory of every stage, summed by kind.

    Args:
        study: names the profile.
        stages: the stages of the whole study.
    """
    result = study.result(EXPERIMENT)
    records = [stage.record() for stage in ancestry(stages)]
    kinds: dict[str, dict[str, Any]] = {}
    for record in records:
        kind = kinds.setdefault(record["label"], {"stages": 0, "cpu_s": 0.0, "peak_memory_mb": 0})
        kind["stages"] += 1
        kind["cpu_s"] += record["cpu_s"]
        kind["peak_memory_mb"] = max(kind["peak_memory_mb"], record["peak_memory_mb"])
    result.tables["cost"] = [{"kind": name, **facts} for name, facts in sorted(kinds.items())]
    for name, facts in kinds.items():
        result.add(f"compute.{name}.cpu", facts["cpu_s"], "core-seconds", n=facts["stages"])
    total = sum(record["cpu_s"] for record in records) / 3600
    paper = paper_value("text.total_gpu_hours")
    result.add("compute.total", total, "core-hours (paper: GPU-hours)", n=len(records), paper=paper)
    return result
