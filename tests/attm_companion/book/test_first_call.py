"""The first call of a notebook is quick, because it imports little of ours."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[3]
MOST = 55


@pytest.mark.parametrize("name", ["cumulative-ablation", "head-sweep", "stage-crpo", "stage-sft"])
def test_opening_a_study_imports_few_modules(name):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    parameters, first = [c.source for c in notebook.cells if c.cell_type == "code"][:2]
    until_opened = first.partition("study = ")[0]
    code = f"{parameters}\n{until_opened}\nstudy = open_study(profile, seed)\nstudy.crpo().uid\n"
    code += "import sys\nprint([n for n in sys.modules if n.startswith('attm_')])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    modules = found.stdout.decode().splitlines()[-1].split(", ")
    assert len(modules) <= MOST, modules
