import copy
import pickle
import subprocess
import sys
from typing import Literal

import pytest
from toy_stages import DoubleStage, NumberStage, SumStage, chain

from attm_companion.study import stage as stages
from attm_core.files import write_json


def test_a_change_or_a_version_deep_inside_reaches_every_descendant(monkeypatch):
    assert NumberStage(workers=1).uid == NumberStage(workers=7).uid, "how it runs does not count"
    assert chain(workers=1).uid == chain(workers=7).uid
    assert chain(launch={"processes": 4}).uid == chain().uid
    plain, changed = chain(), chain(b=3)
    assert plain.uid != changed.uid
    assert plain.start.uid != changed.start.uid
    assert plain.extra.uid == changed.extra.uid
    monkeypatch.setattr(SumStage, "version", "2")
    raised = chain()
    assert raised.uid != plain.uid
    assert raised.extra.uid == plain.extra.uid


def test_a_configuration_makes_the_stage_again():
    stage = chain(a=5)
    again = DoubleStage.model_validate_json(stage.model_dump_json())
    sent = pickle.loads(pickle.dumps(stage))
    assert again.uid == sent.uid == copy.deepcopy(stage).uid == stage.uid
    assert again.folder == stage.folder
    code = f"import sys; sys.path[:] = {sys.path!r}; from toy_stages import chain"
    command = [sys.executable, "-c", f"{code}; print(chain(a=5).uid)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == stage.uid, "in another process"


def test_a_run_is_cached_and_recorded(toy_log):
    stage = NumberStage(value=4, sleep_s=0.05)
    with pytest.raises(stages.StageError, match="no result in the cache"):
        stage.out()
    assert not stage.done
    assert stages.run_stage(stage)
    assert stage.done
    assert stages.run_stage(NumberStage(value=4, sleep_s=0.05))
    assert [label for _, label in toy_log()] == ["number 4"]
    record = stage.record()
    assert record["label"] == "number 4"
    assert list(record["files"]) == ["out.json"]
    assert 0.05 <= record["wall_s"] < 5
    assert record["cpu_s"] < record["wall_s"]


class GreedyStage(stages.Stage):
    kind: Literal["greedy"] = "greedy"
    mebibytes: int

    def run(self, folder):
        assert sum(bytearray(self.mebibytes << 20)) == 0
        write_json(folder / "out.json", self.mebibytes)


def test_memory_is_that_of_the_stage_and_not_of_the_process_so_far():
    greedy, modest = GreedyStage(mebibytes=300), GreedyStage(mebibytes=1)
    stages.run_stage(greedy)
    stages.run_stage(modest)
    peaks = [stage.record()["peak_memory_mb"] for stage in (greedy, modest)]
    assert peaks[1] < peaks[0] - 200


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace(path):
    other = NumberStage(value=8)
    stages.run_stage(other)
    (other.folder / path.name).replace(path)


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "empty": lambda path: path.write_bytes(b""),
    "flipped": flip,
    "swapped": replace,
    "deleted": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("name", ["out.json", stages.RECORD_NAME])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_noticed_set_aside_and_made_again(damage, name, toy_log, capsys):
    stage = NumberStage(value=7)
    stages.run_stage(stage)
    whole = (stage.folder / "out.json").read_bytes()
    DAMAGES[damage](stage.folder / name)
    assert not NumberStage(value=7).done
    with pytest.raises(stages.StageError):
        stage.out()
    stages.run_stage(NumberStage(value=7))
    assert stage.done
    assert (stage.folder / "out.json").read_bytes() == whole
    if (damage, name) != ("deleted", stages.RECORD_NAME):  # without a record it was never finished
        assert "set aside in" in capsys.readouterr().err
        assert len(list((stage.folder / stages.SET_ASIDE / "1").iterdir())) >= 1


def test_what_a_killed_writer_left_is_swept_up(toy_log):
    stage = NumberStage()
    left = stage.folder / "run" / ".state.123.part.safetensors"
    left.parent.mkdir(parents=True)
    left.touch()
    stages.run_stage(stage)
    assert not left.exists()
    assert list(stage.record()["files"]) == ["out.json"]


def test_an_artefact_of_a_folder_is_all_that_is_in_it(toy_log):
    stage = NumberStage()
    write_json(stage.folder / "run" / "a.json", 1)
    write_json(stage.folder / "runner.json", 1)
    stages.run_stage(stage)
    write_json(stage.folder / "runner.json", 2)
    assert stage.artefact("run") == stage.folder / "run"
    assert not stage.done
    write_json(stage.folder / "run" / "a.json", 2)
    with pytest.raises(stages.StageError, match=r"run/a\.json was changed"):
        stage.artefact("run")
    with pytest.raises(stages.StageError, match="there is no nothing"):
        stage.artefact("nothing")


def test_ancestry_is_unique_and_puts_dependencies_first():
    one, other = chain(), chain(b=3)
    ordered = stages.ancestry([one, other, one.start])
    uids = [stage.uid for stage in ordered]
    assert len(uids) == len(set(uids)) == 7
    for place, stage in enumerate(ordered):
        assert {parent.uid for parent in stage.parents} <= set(uids[:place])
    assert stages.ancestry([]) == []
