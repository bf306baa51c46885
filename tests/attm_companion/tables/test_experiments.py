import pytest
from studies import KnownStudy, scores
from toy_stages import NumberStage, chain

from attm_companion.paper_numbers import paper_value
from attm_companion.study.result_files import read_result
from attm_companion.study.stage import Stage, ancestry
from attm_companion.study.study import Study
from attm_companion.tables import anchors, compute, experiments
from attm_companion.tables.experiments import EXPERIMENTS, all_stages, find_experiment
from attm_core.errors import ConfigError


def test_an_unknown_experiment_names_those_there_are_and_rows_are_found_with_their_stages():
    with pytest.raises(ConfigError, match=r"no experiment 'table9'; there are: .*head_sweep"):
        find_experiment("table9")
    assert find_experiment("anchors").tabulate is anchors.tabulate
    one, two, three = (NumberStage(value=number) for number in (1, 2, 3))
    toy = experiments.Experiment(lambda study: {"a": one, "b": {0.5: two, 1.5: three}}, None)
    assert list(toy.rows(None)) == [("a", one), ("b", two), ("b", three)]


def test_every_experiment_needs_both_reference_sets_and_only_stages():
    study = Study("smoke")
    homes = [study.anchors(study.evaluation).uid, study.anchors(study.validation).uid]
    for name in EXPERIMENTS:
        stages = find_experiment(name).stages(study)
        assert all(isinstance(stage, Stage) for stage in stages)
        assert [stage.uid for stage in stages[:2]] == homes


def test_the_study_shares_its_chain_between_experiments():
    stages = all_stages(Study("smoke"))
    kinds = [stage.uid.partition("-")[0] for stage in ancestry(stages)]
    once = ("corpus", "mert", "codec", "separator", "oracle", "features")
    assert {kind: kinds.count(kind) for kind in once} == dict.fromkeys(once, 1)
    assert kinds.count("clap") == kinds.count("ranker") == 2
    assert kinds.count("expert") == kinds.count("crpo") == 2
    # Five heads, the baseline, the full-mix run, and a run for each bandwidth.
    assert kinds.count("sft") == 7 + len(Study("smoke").profile.sweep.bandwidths)
    assert len(stages) > len({stage.uid for stage in stages})


def test_an_experiment_runs_its_stages_then_writes_its_result(toy_log, monkeypatch):
    needed = chain()

    def tabulate(study):
        assert needed.done
        result = study.result("toy")
        result.add("toy", "value", needed.out()["value"], "1")
        return result

    toy = experiments.Experiment(lambda study: {"toy": needed}, tabulate)
    monkeypatch.setattr(experiments.Experiment, "stages", lambda toy, study: [needed])
    monkeypatch.setattr(experiments, "EXPERIMENTS", ("toy",))
    monkeypatch.setattr(experiments, "find_experiment", {"toy": toy}.get)
    study = KnownStudy(lambda asked: scores())
    returned = experiments.run_experiment(study, "toy", jobs=1)
    assert returned["value of toy"].value == 7
    assert read_result("smoke", "toy") == returned
    assert returned.provenance["wall_s"] >= 0
    results = experiments.run_study(study, jobs=1)
    assert [result.experiment for result in results] == ["toy", "compute"]
    account = read_result("smoke", "compute")
    kinds = {"Double", "Sum", "number 1", "number 2"}
    assert {line.row for line in account.values} == {*kinds, "all stages"}
    assert len(toy_log()) == 4


COSTS = {"number 1": (10.0, 100), "number 2": (20.0, 300), "Sum": (30.0, 50), "Double": (3540.0, 1)}


def test_stages_are_counted_once_and_summed_by_kind_and_in_all(monkeypatch):
    def record(stage: Stage) -> dict:
        cpu, memory = COSTS[stage.label]
        return {"label": stage.label, "cpu_s": cpu, "wall_s": 2 * cpu, "peak_memory_mb": memory}

    monkeypatch.setattr(Stage, "record", record)
    stages = [chain(), chain().start, NumberStage(value=1, sleep_s=1.0)]
    result = compute.tabulate(KnownStudy(lambda asked: scores()), stages)
    cost = result.frame.pivot(index="row", columns="metric", values="value")
    assert cost.loc["number 1"].to_dict() == {"processor_time": 20.0, "peak_memory": 100.0}
    assert result["processor_time of number 1"].n == 2
    assert result["processor_time of Sum"].n == 1
    assert result["processor_time of number 2"].value == 20.0
    total = result["processor_time of all stages"]  # in hours
    assert total.value == pytest.approx((2 * 10 + 20 + 30 + 3540) / 3600)
    assert total.n == 5
    assert total.paper == paper_value("text.total_gpu_hours")
