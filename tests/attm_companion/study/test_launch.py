"""Several processes, with stages that take no time."""

from pathlib import Path

import pytest
from launch_stages import RankStage
from toy_stages import LOG_VARIABLE

from attm_companion.study.launch import Launch
from attm_companion.study.stage import run_stage
from attm_core.errors import TrainingError
from attm_core.files import read_json


@pytest.fixture(autouse=True)
def _workers_find_the_stages(monkeypatch, tmp_path):
    monkeypatch.setenv("ATTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(LOG_VARIABLE, str(tmp_path / "log"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_one_process_trains_where_it_is_asked():
    stage = RankStage()
    run_stage(stage)
    assert [path.name for path in sorted(stage.folder.glob("rank*"))] == ["rank0.json"]
    assert read_json(stage.folder / "rank0.json")["sum"] == 1


@pytest.mark.slow
def test_two_processes_are_one_group_and_rebuild_the_same_stage():
    stage = RankStage(value=7, launch=Launch(processes=2))
    run_stage(stage)
    said = [read_json(stage.folder / f"rank{rank}.json") for rank in (0, 1)]
    assert [item["sum"] for item in said] == [2, 2]
    assert {item["uid"] for item in said} == {stage.uid}
    assert {item["value"] for item in said} == {7}
    assert len({item["pid"] for item in said}) == 2


@pytest.mark.slow
def test_a_process_that_fails_is_an_error_of_ours():
    stage = RankStage(fails=True, launch=Launch(processes=2))
    with pytest.raises(TrainingError, match=r"one of 2 processes failed: [\s\S]*wires are crossed"):
        run_stage(stage)
