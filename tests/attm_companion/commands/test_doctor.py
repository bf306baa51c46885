import os
import platform
import re
from types import SimpleNamespace

import pytest

from attm_companion.assets import Asset, AssetFile
from attm_companion.commands import doctor
from attm_companion.commands.cli import main
from attm_companion.study.profile import load_profile
from attm_companion.study.stage import ancestry
from attm_companion.study.study import Study
from attm_companion.tables.experiments import all_stages
from attm_core import assets

STAGES = ancestry(all_stages(Study("smoke")))


def test_it_says_what_would_run_or_what_to_mend_and_makes_nothing(own_folders, capsys):
    assert main(["doctor", "--profile", "smoke"]) == 0
    said = capsys.readouterr().out
    assert f"{len(STAGES)} in all, {len(STAGES)} to run" in said
    assert said.splitlines()[-1] == "profile smoke can run: `attm study --profile smoke`"
    assert list(own_folders.iterdir()) == []
    assert main(["doctor", "--profile", "huge"]) == 1
    said = capsys.readouterr().out
    assert re.search(r"^problem +profile +no profile 'huge'; there are: .*→ choose", said, re.M)
    assert "profile huge cannot run: 1 problem(s)" in said


@pytest.mark.parametrize(
    ("python", "lock", "levels", "said"),
    [
        ("3.11.7", "torch==2.0 \\\n  --hash=sha256:0==\nNum_py==1.26\n", "ok ok", "2 pins"),
        ("3.12.0", None, "problem note", "no requirements.lock"),
        ("3.11.7", "torch==2.1\n", "ok note", "torch 2.0 (lock: 2.1)"),
        ("3.1.1", "more==1\ntorch==2.0\n", "problem note", "1 differ from the lock: more miss"),
    ],
)
def test_python_and_packages_against_the_lock(tmp_path, monkeypatch, python, lock, levels, said):
    installed = {"torch": "2.0+cpu", "Num_py": "1.26"}

    def version(name: str) -> str:
        if name not in installed:
            raise doctor.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(doctor.metadata, "version", version)
    monkeypatch.setattr(platform, "python_version", lambda: python)
    if lock is not None:
        (tmp_path / "requirements.lock").write_text(lock)
    found = list(doctor.environment(tmp_path / "requirements.lock"))
    assert [finding.level for finding in found] == levels.split()
    assert said in found[1].text


def test_a_study_needs_room_in_a_folder(monkeypatch, tmp_path):
    assert doctor.disk(0.0).level == "ok"
    found = doctor.disk(1e9)
    assert (found.level, "ATTM_CACHE" in found.remedy) == ("problem", True)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ATTM_CACHE", str(tmp_path / "file"))
    assert doctor.disk(0.0).level == "problem"


def test_sizes_by_hand():
    mini, paper = load_profile("mini").cast, load_profile("paper").cast
    n, samples = mini.corpus.n_clips, mini.corpus.n_samples
    assert doctor.disk_gib(mini) == pytest.approx(1 + 2 * 3 * n * samples / 2**30)
    training = 16 * mini.corpus.n_train * samples / 2**30
    assert doctor.memory_gib(mini) == pytest.approx(1.5 + training)
    # 535,000 clips of 430 × 40 means and deviations at two bytes: 34.3 GiB; 55,000 captions of
    # 77 × 1024 states: 8.1 GiB.
    assert doctor.disk_gib(paper) == pytest.approx(43.4, abs=0.1)
    assert doctor.memory_gib(paper) is None


@pytest.mark.parametrize(
    ("gib", "level", "remedy"),
    [(3.4, "problem", "larger machine"), (7.1, "note", "--jobs 2"), (14.1, "ok", "")],
)
def test_memory_is_counted_for_each_worker(monkeypatch, gib, level, remedy):
    assert (
        0 < doctor._available_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    )
    monkeypatch.setattr(doctor, "_available_memory", lambda: int(gib * doctor.GIB))
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: 4)
    found = doctor.memory(3.5)
    assert found.level == level
    assert remedy in found.remedy


def test_the_paper_s_problems_have_remedies_and_its_needs_are_all_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv(assets._FOLDER_VARIABLE, str(tmp_path / "nothing"))
    found = list(doctor.examine("paper"))
    problems = [finding for finding in found if finding.level == "problem"]
    assert problems
    assert all(finding.remedy for finding in problems)
    assert any("--random-weights" in finding.remedy for finding in found)
    assert {finding.subject: finding for finding in found}["gpu"].level in ("ok", "note")
    levels = {item.text.split()[0]: item.level for item in found if item.subject == "asset"}
    read = {name for stage in ancestry(all_stages(Study("paper"))) for name in stage.assets}
    assert {levels[name] for name in read} == {"problem"}
    assert {levels[name] for name in doctor.OPTIONAL} == {"note"}


def test_assets_are_found_whole_in_part_or_not(monkeypatch, tmp_path):
    monkeypatch.setenv(assets._FOLDER_VARIABLE, str(tmp_path))
    file = AssetFile("part/model.bin", "https://example.org/model.bin", size=5 * 2**20)
    asset = Asset("toy", "a part", "MIT", "https://example.org", (file,))
    byhand = Asset("data", "a set", "MIT", "https://example.org", note="Ask.")
    monkeypatch.setattr(doctor, "load_manifest", lambda: {"toy": asset, "data": byhand})
    monkeypatch.setattr(doctor, "OPTIONAL", ("toy",))
    stage = SimpleNamespace(assets=("data",))

    def levels() -> list[str]:
        return [finding.level for finding in doctor.paper_assets([stage])][:2]

    assert levels() == ["problem", "note"]
    said = [finding.text for finding in doctor.paper_assets([stage])]
    assert "1 of 1 files): https://example.org, 5 MiB, MIT" in said[1]
    for name in ("toy/part/model.bin", "data/x"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("ab")
    assert levels() == ["ok", "note"]  # two bytes where five million belong
    os.truncate(tmp_path / "toy/part/model.bin", 5 * 2**20)
    assert levels() == ["ok", "ok"]
