import os
import subprocess
import sys

import nbformat
import pytest

from attm_companion.study.result_files import ROOT

MOST = 55
OPENING = "study = open_study(profile, seed)\nstudy.crpo().uid"


def first_call(name: str) -> tuple[str, str]:
    """The parameters and the first cell after them."""
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    parameters, first = [cell.source for cell in cells if cell.cell_type == "code"][:2]
    return parameters, first


def imported(*parts: str) -> list[str]:
    """Our modules after some code."""
    code = "\n".join([*parts, "import sys", "print(*sys.modules)"])
    known = {**os.environ, "ATTM_RESULTS": str(ROOT / "results")}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, env=known, capture_output=True, check=True)
    return [n for n in found.stdout.decode().splitlines()[-1].split() if n.startswith("attm_")]


@pytest.mark.parametrize("name", ["cumulative-ablation", "head-sweep", "stage-crpo", "stage-sft"])
def test_opening_a_study_imports_few_modules(name):
    parameters, first = first_call(name)
    modules = imported(parameters, first.partition("study = ")[0], OPENING)
    assert len(modules) <= MOST, modules


@pytest.mark.parametrize("name", ["training-seeds", "open-questions"])
def test_a_page_of_stored_results_imports_no_stage(name):
    modules = imported(*first_call(name))
    assert "attm_companion.study.stage" not in modules
    assert len(modules) <= MOST // 2, modules
