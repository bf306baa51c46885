import os
import re
import subprocess
from datetime import UTC, datetime

from attm_companion.study import result_files as module
from attm_companion.study.result_files import code_commit, hardware, provenance


def test_facts_of_a_run():
    facts = provenance("crpo-1", "f00d")
    assert facts["config_uid"] == "crpo-1"
    assert facts["data_hash"] == "f00d"
    age = datetime.now(UTC) - datetime.fromisoformat(facts["date"])
    assert 0 <= age.total_seconds() < 60
    assert {"code_commit", "lock_hash", "hardware", "python"} <= set(facts)


def test_hardware_names_cores_memory_and_number_format(processor):
    processor(avx512_bf16=False)
    assert f", {os.cpu_count()} cores, " in hardware()
    assert re.search(r"\d+ GiB, float32$", hardware())
    processor(avx512_bf16=True)
    assert hardware().endswith("GiB, bfloat16")


def git(folder, *words: str) -> str:
    who = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    done = subprocess.run(("git", *who, *words), cwd=folder, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_commit_says_whether_code_differs_from_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    assert code_commit() == "unknown"
    git(tmp_path, "init", "-q")
    (tmp_path / "attm_core").mkdir()
    (tmp_path / "attm_core" / "a.py").write_text("a = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Begin")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert len(commit) == 12
    (tmp_path / "notes.txt").write_text("no code")
    assert code_commit() == commit
    (tmp_path / "attm_core" / "a.py").write_text("a = 2\n")
    assert code_commit() == f"{commit}+changes"
