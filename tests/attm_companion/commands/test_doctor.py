import re

import pytest
import torch

from attm_companion.commands import doctor
from attm_companion.commands.cli import main
from attm_companion.commands.doctor import (
    PAPER_NEEDS,
    Finding,
    disk,
    examine,
    locked_versions,
    memory,
    mini_disk_gib,
    mini_memory_gib,
    packages,
    paper_assets,
    python_version,
)
from attm_companion.study.profile import load_profile
from attm_companion.study.stage import Stage, ancestry
from attm_companion.study.study import Study
from attm_companion.tables.experiments import all_stages
from attm_companion.world.config import CorpusConfig
from attm_core import assets

LARGE = CorpusConfig(n_train=50_000_000)


def test_a_machine_that_can_run_says_what_would_run(capsys):
    assert main(["doctor", "--profile", "smoke"]) == 0
    said = capsys.readouterr().out
    count = len(ancestry(all_stages(Study("smoke"))))
    assert f"{count} in all, {count} to run" in said
    assert "Corpus: to run" in said
    assert said.splitlines()[-1] == "profile smoke can run: `attm study --profile smoke`"


def test_cached_stages_are_told_from_those_to_run(monkeypatch):
    done = {Study("smoke").frozen.corpus.uid, Study("smoke").frozen.conditioning_clap.uid}
    monkeypatch.setattr(Stage, "done", property(lambda stage: stage.uid in done))
    texts = [finding.text for finding in doctor.stages(Study("smoke"))]
    assert "Corpus: cached" in texts
    assert "Clap: 1 of 2 cached, 1 to run" in texts
    total, waiting = map(int, re.findall(r"\d+", texts[-1]))
    assert total - waiting == 2


def test_nothing_is_made_by_looking(own_folders):
    examine("smoke")
    assert list(own_folders.iterdir()) == []


def test_an_unknown_profile_is_a_problem_with_a_remedy(capsys):
    assert main(["doctor", "--profile", "huge"]) == 1
    said = capsys.readouterr().out
    assert re.search(r"^problem +profile +no profile 'huge'; there are: .*→ choose", said, re.M)
    assert "profile huge cannot run: 1 problem(s)" in said


def test_every_problem_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv(assets.FOLDER_VARIABLE, str(tmp_path / "nothing"))
    problems = [finding for finding in examine("paper") if finding.level == "problem"]
    assert problems
    assert all(finding.remedy for finding in problems)


@pytest.mark.parametrize(
    ("version", "level"),
    [(("3", "11", "7"), "ok"), (("3", "12", "0"), "problem"), (("3", "9", "1"), "problem")],
)
def test_python_must_be_the_locked_one(version, level):
    assert python_version(version).level == level


def test_pins_are_read_from_a_lock_with_hashes():
    text = "PyYAML==6.0.1 \\\n    --hash=sha256:00==\nruamel.yaml_clib==0.2 ; sys=='x'\n# a==1\n"
    assert locked_versions(text) == {"pyyaml": "6.0.1", "ruamel-yaml-clib": "0.2"}


@pytest.mark.parametrize(
    ("installed", "levels", "said"),
    [
        ({"torch": "2.0+cpu", "numpy": "1.26"}, ["ok"], "2 pins"),
        ({"torch": "2.1", "numpy": "1.26"}, ["note"], "torch 2.1 (lock: 2.0)"),
        ({"numpy": "1.26"}, ["problem"], "missing: torch"),
        ({"numpy": "1.25"}, ["problem", "note"], "missing: torch"),
    ],
)
def test_packages_are_compared_with_the_lock(tmp_path, monkeypatch, installed, levels, said):
    lock = tmp_path / "requirements.lock"
    lock.write_text("torch==2.0\nnumpy==1.26\n")
    monkeypatch.setattr(doctor, "_installed", lambda: installed)
    monkeypatch.setattr(doctor, "_required", lambda: {"torch"})
    found = list(packages(lock))
    assert [finding.level for finding in found] == levels
    assert said in found[0].text


def test_without_a_lock_there_is_nothing_to_compare(tmp_path):
    assert [finding.level for finding in packages(tmp_path / "gone.lock")] == ["note"]


def test_a_study_that_does_not_fit_on_disk_is_a_problem():
    assert disk(mini_disk_gib(CorpusConfig(n_train=10))).level == "ok"
    found = disk(mini_disk_gib(LARGE))
    assert found.level == "problem"
    assert "ATTM_CACHE" in found.remedy


def test_a_cache_that_is_a_file_is_a_problem(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ATTM_CACHE", str(tmp_path / "file"))
    assert disk().level == "problem"


@pytest.mark.parametrize(
    ("gib", "level", "remedy"),
    [(3.4, "problem", "larger machine"), (7.1, "note", "--jobs 2"), (14.1, "ok", "")],
)
def test_memory_is_counted_for_each_worker(monkeypatch, gib, level, remedy):
    corpus = CorpusConfig(n_train=2048, n_samples=65_536)  # 2 GiB of waves, 1.5 GiB besides
    monkeypatch.setattr(doctor, "_available_memory", lambda: int(gib * doctor.GIB))
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: 4)
    found = memory(mini_memory_gib(corpus))
    assert found.level == level
    assert remedy in found.remedy


def test_available_memory_is_a_part_of_all():
    import os

    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < doctor._available_memory() <= whole


def test_every_need_of_the_paper_is_in_the_manifest():
    manifest = assets.load_manifest()
    named = {name for names in PAPER_NEEDS.values() for name in names}
    assert named <= set(manifest)


def test_missing_assets_tell_source_licence_and_consent(monkeypatch, tmp_path):
    monkeypatch.setenv(assets.FOLDER_VARIABLE, str(tmp_path))
    found = {finding.text.split()[0]: finding for finding in paper_assets()}
    mert, jamendo = found["mert"], found["mtg_jamendo"]
    assert (mert.level, mert.subject) == ("problem", "scores")
    for word in ("https://huggingface.co/m-a-p/MERT-v1-330M", "CC BY-NC 4.0", "gated"):
        assert word in mert.text
    assert mert.remedy == "run `attm assets fetch mert`"
    assert "by hand" in jamendo.text
    assert str(tmp_path / "mtg_jamendo") in jamendo.remedy


def test_assets_that_are_here_are_no_problem(monkeypatch, tmp_path):
    monkeypatch.setenv(assets.FOLDER_VARIABLE, str(tmp_path))
    file = assets.AssetFile("part/model.bin", "https://example.org/model.bin", size=3)
    asset = assets.Asset("toy", "a part", "MIT", "https://example.org", (file,))
    byhand = assets.Asset("data", "a set", "MIT", "https://example.org", note="Ask.")
    monkeypatch.setattr(doctor, "load_manifest", lambda: {"toy": asset, "data": byhand})
    monkeypatch.setattr(doctor, "PAPER_NEEDS", {"inference": ("toy", "data")})

    def levels() -> list[str]:
        return [finding.level for finding in paper_assets()][:2]

    assert levels() == ["problem", "problem"]
    for name, content in (("toy/part/model.bin", "ab"), ("data/x", "y")):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(content)
    assert levels() == ["problem", "ok"]  # two bytes where three belong
    (tmp_path / "toy/part/model.bin").write_text("abc")
    assert levels() == ["ok", "ok"]


def test_sizes_are_told_where_they_are_known(monkeypatch, tmp_path):
    monkeypatch.setenv(assets.FOLDER_VARIABLE, str(tmp_path))
    file = assets.AssetFile("x", "https://example.org/x", size=5 * 2**20)
    asset = assets.Asset("toy", "a part", "MIT", "https://example.org", (file,))
    assert "5 MiB, MIT" in doctor._asset(asset, "inference").text


def test_what_runs_without_assets_is_offered():
    assert any("--random-weights" in finding.remedy for finding in paper_assets())


def test_the_doctor_asks_for_everything_that_the_paper_s_stages_read():
    asked = {name for names in PAPER_NEEDS.values() for name in names}
    read = {name for stage in ancestry(all_stages(Study("paper"))) for name in stage.assets}
    assert read <= asked


def test_the_paper_s_latents_need_room_and_a_gpu_helps(monkeypatch, tmp_path):
    monkeypatch.setenv(assets.FOLDER_VARIABLE, str(tmp_path))
    found = {finding.subject: finding for finding in examine("paper")}
    # 535,000 clips of 430 × 40 means and deviations at two bytes: 34.3 GiB; 55,000 captions of
    # 77 × 1024 states: 8.1 GiB.
    assert doctor.paper_disk_gib(load_profile("paper").cast) == pytest.approx(43.4, abs=0.1)
    assert "about 43.4" in found["disk"].text
    assert found["gpu"].level == ("ok" if torch.cuda.is_available() else "note")


def test_a_finding_is_one_line():
    assert Finding("ok", "python", "3.11").describe() == "ok       python     3.11"
    assert Finding("note", "disk", "full", "tidy").describe().endswith("full → tidy")
