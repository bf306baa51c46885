import importlib
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from attm_companion.book.layout import PACKAGES, Layout
from attm_companion.book.staging import toc_problems
from attm_companion.strict_yaml import read_yaml
from attm_companion.study.result_files import read_table

ROOT = Path(__file__).parents[1]
# PyPI name → conda-forge name, where they differ.
CONDA_NAMES = {"torch": "pytorch", "soundfile": "pysoundfile", "matplotlib": "matplotlib-base"}
YAML_FILES = ["_config.yml", "_toc.yml", "environment.yml", "CITATION.cff"]
YAML_FILES += [".github/workflows/book.yml"]


def asked_for() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["dev"]
    found = [Requirement(line) for line in lines]
    return {canonicalize_name(item.name): item for item in found}


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text()
    return dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", YAML_FILES)
def test_yaml_has_no_duplicate_key(name):
    assert read_yaml(ROOT / name)


def test_contents_and_sources_match():
    assert read_yaml(ROOT / "_config.yml")["execute"]["execute_notebooks"] == "off"
    assert toc_problems(Layout(ROOT, "mini")) == []


def test_conda_environment_asks_for_the_same():
    text = (ROOT / "environment.yml").read_text()
    entries = read_yaml(ROOT / "environment.yml")["dependencies"]
    from_pip = next(entry["pip"] for entry in entries if isinstance(entry, dict))
    lines = [entry for entry in entries if isinstance(entry, str) and entry != "pip"]
    lines = [re.sub(r"(?<=\w)=(?=\d)", "==", line) for line in lines]
    lines += [entry for entry in from_pip if not entry.startswith("-")]
    conda = {canonicalize_name(item.name): str(item.specifier) for item in map(Requirement, lines)}
    comment = re.search(r"^#   pip install --no-deps (.*) --editable", text, re.MULTILINE)
    conda |= {item.name: str(item.specifier) for item in map(Requirement, comment[1].split())}
    # Packages whose own requirements stay out of the lock, with the only version that may.
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]
    alone = {entry["name"]: f"=={entry['version']}" for entry in entries["dependency-metadata"]}
    assert conda.items() >= alone.items()
    assert conda.pop("python") == "==3.11"
    wanted = {
        canonicalize_name(CONDA_NAMES.get(name, name)): str(item.specifier)
        for name, item in asked_for().items()
    }
    assert conda == wanted


def test_lock_holds_what_the_project_asks_for():
    locked = {
        canonicalize_name(name): version for name, version in pins("requirements.lock").items()
    }
    for name, requirement in asked_for().items():
        assert name in locked, f"{name} is not locked: run make lock"
        assert requirement.specifier.contains(locked[name], prereleases=True), name
    assert locked.keys().isdisjoint({"pyaudio", "tensorflow"})


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-bootstrap.lock", "requirements-build.lock"]
)
def test_every_locked_file_has_a_hash(name):
    blocks = re.split(r"^(?=\S)", (ROOT / name).read_text(), flags=re.MULTILINE)
    without = [block.split()[0] for block in blocks if block.strip() and "--hash=" not in block]
    assert pins(name)
    assert pins("requirements-build.lock")["numpy"] == pins("requirements.lock")["numpy"]
    assert without == []


@pytest.mark.parametrize("name", [".ci/run", "scripts/browser", "scripts/environment"])
def test_scripts_run_and_stop_at_the_first_error(name):
    path = ROOT / name
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text()
    subprocess.run(["bash", "-n", str(path)], check=True)


def dry_run(*arguments: str) -> str:
    command = ["make", "--dry-run", "--no-print-directory", *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_make_makes_the_environment_first_and_book_goes_through_all_stages_in_order():
    for target in ("test", "check", "lab", "serve", "lock", "screenshots"):
        assert dry_run(target).startswith("scripts/environment"), target
    text = dry_run("book")
    steps = ["scripts/environment", "attm study", "attm notebooks", "attm book"]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
    assert text.count("--profile mini") == 3
    assert dry_run("book", "PROFILE=smoke").count("--profile smoke") == 3
    assert f'root_dir="{ROOT}"' in dry_run("lab"), "a kernel would stand in notebooks/ otherwise"


def test_torture_without_a_part_is_all_of_it(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    torture = importlib.import_module("torture")
    words = shlex.split(re.search(r"scripts/torture\.py(.*)", dry_run("torture"))[1])
    assert torture.asked(words).parts == list(torture.PARTS)
    assert torture.asked(["disk", "kills"]).parts == ["disk", "kills"]


def test_ci_runs_rules_tests_and_the_smallest_book_by_pinned_actions():
    readme = (ROOT / "README.md").read_text()
    assert all(re.search(f"^make {name}\\b", readme, re.MULTILINE) for name in ("book", "test"))
    text = (ROOT / ".ci/run").read_text()
    for step in ("make check", "make test", "make book PROFILE=smoke"):
        assert f"step {step}" in text
    workflow = (ROOT / ".github/workflows/book.yml").read_text()
    assert ".ci/run" in workflow
    used = re.findall(r"uses: (\S+)@(\S+)", workflow)
    assert used
    assert [name for name, version in used if not re.fullmatch(r"[0-9a-f]{40}", version)] == []


def test_the_p_value_of_the_page_is_that_of_the_table(monkeypatch, capsys):
    page = (ROOT / "book" / "how-to-read.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 5
    monkeypatch.chdir(ROOT)
    exec(code, {})
    table = read_table(ROOT / "results" / "mini" / "cumulative.csv", "mini")
    (line,) = table.find("reward of row2 against row1 with seed 42")
    assert float(capsys.readouterr().out) == pytest.approx(line.p)


def test_contributing_names_modules_that_exist():
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Interfaces")[1].split("## House")[0]
    cells = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)]
    assert len(names) > 20
    for name in names:
        places = [ROOT / package / name.replace(".", "/") for package in PACKAGES]
        assert any(p.is_dir() or p.with_suffix(".py").is_file() for p in places), name
