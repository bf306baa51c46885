import pytest
from studies import KnownStudy, scores
from toy_stages import NumberStage, chain

from attm_companion.paper_numbers import paper_value
from attm_companion.study import stage as stage_module
from attm_companion.study.stage import Stage
from attm_companion.tables.compute import tabulate

COSTS = {"number 1": (10.0, 100), "number 2": (20.0, 300), "Sum": (30.0, 50), "Double": (3540.0, 1)}


def test_stages_are_counted_once_and_summed_by_kind_and_in_all(monkeypatch):
    def record(stage: Stage) -> dict:
        cpu, memory = COSTS[stage.label]
        return {"label": stage.label, "cpu_s": cpu, "wall_s": 2 * cpu, "peak_memory_mb": memory}

    monkeypatch.setattr(stage_module.Stage, "record", record)
    stages = [chain(), chain().start, NumberStage(value=1, sleep_s=1.0)]
    result = tabulate(KnownStudy(lambda asked: scores()), stages)
    cost = result.frame.pivot(index="row", columns="metric", values="value")
    assert cost.loc["number 1"].to_dict() == {"processor_time": 20.0, "peak_memory": 100.0}
    assert result["processor_time of number 1"].n == 2
    assert result["processor_time of Sum"].n == 1
    assert result["processor_time of number 2"].value == 20.0
    total = result["processor_time of all stages"]  # in hours
    assert total.value == pytest.approx((2 * 10 + 20 + 30 + 3540) / 3600)
    assert total.n == 5
    assert total.paper == paper_value("text.total_gpu_hours")
