"""Solutions live on the pages, in cells tagged ``solution``; each ends with its check."""

import ast
import re

import nbformat
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from attm_companion.book import exercises
from attm_companion.study.result_files import ROOT

CHECKS = {name for name in vars(exercises) if name.startswith("check_")}
PAGES = [
    *sorted((ROOT / "notebooks").glob("stage-*.ipynb")),
    ROOT / "notebooks/pipeline.ipynb",
    ROOT / "notebooks/two-dimensions.ipynb",
]


def cells(tag):
    found = {}
    for path in PAGES:
        for cell in nbformat.read(path, as_version=4).cells:
            if tag in cell.metadata.get("tags", []):
                call = ast.parse(cell.source).body[-1].value
                found[call.func.id] = cell.source
    return found


def verdict_of(source, name):
    space = {"torch": torch, "np": np, "F": F, name: (check := getattr(exercises, name))}
    *before, last = ast.parse(source).body
    exec(compile(ast.Module(before, []), "cell", "exec"), space)
    return check(eval(compile(ast.Expression(last.value.args[0]), "cell", "eval"), space))


def test_there_are_sixteen_and_each_has_a_stub_and_a_solution():
    assert len(CHECKS) >= 16
    assert set(cells("exercise")) == CHECKS
    assert set(cells("solution")) == CHECKS


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_the_solution_is_right_and_the_stub_runs(name):
    assert verdict_of(cells("solution")[name], name) == exercises.Verdict(True, "right")
    stub = verdict_of(cells("exercise")[name], name)
    assert not stub.right and stub.text.startswith("not yet: put your own line"), stub.text


# A pattern in a solution, and what a student may write in its place.
SLIPS = [
    (r" \+ ", " - "), (r" - ", " + "), (r"-(?! )", ""), (r"(?<!0) \* ", " / "), (r" / ", " * "),
    (r"\*\*2", "**4"), (r"\b1(?= - |\.)", "2"), (r"\b2 ", "3 "), (r"\b10\b", "20"), (" & ", " | "),
    (r"\bargmax", "argmin"), (r"\bargmin", "argmax"), (r"\bmin\b", "max"), (r"\bcos", "sin"),
    (r"\bmean\b", "sum"), (r"\bsum", "mean"), ("square", "abs"), ("square", "exp"),
    ("log10", "sqrt"), ("logsigmoid", "sigmoid"), ("zeros", "ones"), (r" - \w+_ref\b", ""),
    (r" \+ 3", " * 2"), (r" \+ 3", ""), (r"scores \+ 3", "-scores"), (r"2 \* n", "2 + n"),
    (r"2 \* n", "n_steps * n"), (r"len\(pieces\)", "len(set(train_pieces))"),
    (r"target_lufs - lufs,", "99,"), (r", highest_\w+ - peak_db", ", 99"), (r" \+ z_clap", ""),
    (r"z_reward \+ z_clap", "reward + clap"), (r"\[:keep\]", "[-keep:]"), (r"e_s\[", "0 * e_s["),
    (r"\bdropped,", "~dropped,"), (" - x_0$", ""), (" i /", " (i + 1) /"),
]  # fmt: skip
# What is added to every score, or multiplies every one, leaves these answers right.
HARMLESS = {"check_invariance": 1, "check_select": 5}


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_slip_is_refused_with_a_reason(name):
    source = cells("solution")[name]
    found = [(place.span(), new) for old, new in SLIPS for place in re.finditer(old, source, re.M)]
    wrong = [verdict_of(source[:start] + new + source[end:], name) for (start, end), new in found]
    assert sum(verdict.right for verdict in wrong) == HARMLESS.get(name, 0) < len(wrong)
    for verdict in wrong:
        assert verdict.right or len(verdict.text) > len("not yet: ") + 10
        assert "stopped with" not in verdict.text


def test_an_answer_that_fails_says_how():
    verdict = exercises.check_target(lambda x_0, x_1: x_0 + "a")
    assert not verdict.right and "stopped with TypeError" in verdict.text


EXPLAINED = {
    "two-dimensions": {"sft", "crpo", "joint_guidance", "interpolate", "generate_latents"},
    "stage-ranker": {"ranknet_loss", "features"},
    "stage-backbone": {"FluxAudio"},
    "stage-sft": {"interpolate", "flow_matching_loss", "draw_nulls", "sample_time"},
    "stage-expert-iteration": {"z_scores", "blend", "select_top_decile", "Mixture"},
    "stage-crpo": {"build_pairs", "preference_logit", "crpo_loss", "flow_matching_loss"},
    "stage-inference": {"joint_guidance", "generate", "sigmas", "postprocess"},
}


@pytest.mark.parametrize("page", EXPLAINED)
def test_a_page_imports_and_calls_what_it_explains(page):
    notebook = nbformat.read(ROOT / f"notebooks/{page}.ipynb", as_version=4)
    shown = [c for c in notebook.cells if "solution" not in c.metadata.get("tags", [])]
    tree = ast.parse("\n".join(cell.source for cell in shown if cell.cell_type == "code"))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    called = {getattr(func, "id", getattr(func, "attr", None)) for func in calls}
    assert EXPLAINED[page] <= called
