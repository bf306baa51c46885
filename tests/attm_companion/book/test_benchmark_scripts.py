import importlib
import json
import subprocess

import pytest
import torch
from torch import nn

from attm_companion.study.result_files import ROOT


@pytest.fixture
def side_by_side(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("side_by_side")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(module, "machine", lambda: {"threads": 1})
    return module


def test_the_last_run_with_the_reference_is_kept(side_by_side, tmp_path):
    both = [{"variant": "reference float32"}, {"variant": "frozen float32"}]
    alone = [{"variant": "frozen float32", "again": True}]

    def after(rows: list) -> dict:
        side_by_side.report_against_reference("sampling", rows)
        return json.loads((tmp_path / "sampling.json").read_text())

    assert "with_reference" not in after(alone)
    assert "with_reference" not in after(both)
    for _ in range(2):  # the second run without it does not lose it either
        found = after(alone)
        assert found["rows"] == alone
        assert found["with_reference"] == {"machine": {"threads": 1}, "rows": both}
    assert "with_reference" not in after(both)


def test_operations_of_a_product_by_hand(side_by_side):
    linear = nn.Linear(30, 20, bias=False)
    count = side_by_side.gflop(lambda: linear(torch.zeros(10, 30)), linear)
    assert count == pytest.approx(2 * 10 * 20 * 30 / 1e9)


@pytest.mark.parametrize("given", [[], ["REFERENCE=some where"]])
def test_make_runs_every_benchmark(given):
    command = ["make", "--dry-run", "--no-print-directory", "benchmarks", *given]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")} - {"side_by_side.py"}
    assert all(f"benchmarks/{name}" in text for name in scripts)
    assert text.index("parts.py") < text.index("jamendo.py")  # which reads what parts.py writes
    assert text.count('--reference "some where"') == (2 if given else 0)
