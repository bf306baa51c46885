import subprocess
import sys
from typing import Literal

import exca
import pydantic
import pytest
from toy_stages import Basket, DoubleStage, NumberStage, Pair, SumStage, chain

from attm_companion.study.stage import RECORD_NAME, Stage, ancestry, cache_root
from attm_core.errors import InputError


def variant(default: int = 1, version: str = "1") -> Stage:
    """A stage of a class whose code could have been edited between two runs."""

    class EditedStage(Stage):
        kind: Literal["edited"] = "edited"
        value: int = default
        infra: exca.TaskInfra = exca.TaskInfra(version=version)

        @infra.apply
        def run(self) -> str:
            return self.uid

    return EditedStage()


def test_same_inputs_are_the_same_stage_and_others_are_not():
    assert chain().uid == chain().uid
    assert NumberStage(value=2).uid != NumberStage(value=3).uid
    assert NumberStage(value=1).uid == NumberStage().uid
    assert NumberStage().uid.startswith("number-")


def test_identity_is_the_same_in_another_process(tmp_path):
    code = "from toy_stages import chain; print(chain().uid)"
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == chain().uid


def test_a_changed_default_or_version_is_another_stage():
    assert variant().uid == variant().uid
    assert len({variant().uid, variant(default=2).uid, variant(version="2").uid}) == 3


def test_a_change_deep_inside_reaches_every_descendant():
    plain, changed = chain(), chain(b=3)
    assert plain.uid != changed.uid
    assert plain.start.uid != changed.start.uid
    assert plain.extra.uid == changed.extra.uid


def test_a_version_deep_inside_reaches_the_descendant():
    plain, raised = chain(), chain(infra={"version": "2"})
    assert raised.start.basket.pair.left.infra.version == "2"
    assert raised.start.infra.version == plain.start.infra.version == "1"
    assert plain.uid != raised.uid


def test_workers_are_no_part_of_the_identity_at_any_depth():
    assert NumberStage(workers=1).uid == NumberStage(workers=7).uid
    assert chain(workers=1).uid == chain(workers=7).uid


def test_unknown_inputs_are_refused():
    with pytest.raises(pydantic.ValidationError, match="extra"):
        NumberStage(valve=1)


def test_a_configuration_makes_the_stage_again():
    stage = chain(a=5)
    again = DoubleStage.model_validate_json(stage.model_dump_json())
    assert again.uid == stage.uid
    assert again.folder == stage.folder


def test_stages_live_apart_below_the_cache_root(own_folders):
    first, second = NumberStage(value=1), NumberStage(value=2)
    assert cache_root() == own_folders / "cache"
    assert first.folder.is_relative_to(cache_root() / first.uid)
    assert first.folder != second.folder
    assert first.folder.is_dir()


def test_the_cache_root_is_beside_us_without_the_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("ATTM_CACHE")
    monkeypatch.chdir(tmp_path)
    assert cache_root() == tmp_path / ".cache" / "attm"


def test_a_run_is_cached_and_recorded(toy_log):
    stage = NumberStage(value=4, sleep_s=0.05)
    assert not stage.done
    assert stage.run() == stage.uid
    assert stage.done
    assert NumberStage(value=4, sleep_s=0.05).run() == stage.uid
    assert [label for _, label in toy_log()] == ["number 4"]
    record = stage.record()
    assert record["label"] == "number 4"
    assert 0.05 <= record["wall_s"] < 5
    assert record["cpu_s"] < record["wall_s"]
    assert record["peak_memory_mb"] > 1


def test_work_that_raises_leaves_no_record_and_may_be_tried_again(toy_log):
    stage = NumberStage(value=1)
    with pytest.raises(RuntimeError), stage.recording():
        raise RuntimeError
    assert not (stage.folder / RECORD_NAME).exists()
    with pytest.raises(InputError, match="does not exist"):
        stage.record()
    assert not stage.done
    stage.run()
    assert stage.record()["label"] == "number 1"


def test_parents_are_found_in_fields_and_in_nested_plain_groups():
    left, right = NumberStage(value=1), NumberStage(value=2)
    total = SumStage(basket=Basket(pair=Pair(left=left, right=right)))
    assert [parent.uid for parent in total.parents] == [left.uid, right.uid]
    last = DoubleStage(start=total, extra=left)
    assert [parent.uid for parent in last.parents] == [total.uid, left.uid]
    assert left.parents == []


def test_ancestry_is_unique_and_puts_dependencies_first():
    one, other = chain(), chain(b=3)
    ordered = ancestry([one, other, one.start])
    uids = [stage.uid for stage in ordered]
    assert len(uids) == len(set(uids)) == 7
    for place, stage in enumerate(ordered):
        assert {parent.uid for parent in stage.parents} <= set(uids[:place])
    assert ancestry([]) == []
