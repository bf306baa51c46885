"""Solutions live on the pages, in cells tagged ``solution``; each ends with its check."""

import ast
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from attm_companion.book import exercises

ROOT = Path(__file__).parents[3]
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


def by_blend(column):
    return lambda reward, clap, keep: np.argsort(-column(reward, clap))[:keep]


def euler(step, sign=-1, first=1.0):
    def sample(velocity, x, n):
        for i in range(n):
            x = x + sign * velocity(x, first - (i + step) / n) / n
        return x

    return sample


def mean_field(share):
    return lambda p, x, t: (share(p, x, t)[:, None] * (x - p) / t).sum(0)


def equal(p, x, t):
    return torch.full((len(p),), 1 / len(p))


def z(values):
    with np.errstate(invalid="ignore"):
        return (values - values.mean()) / values.std()


def lead(x):
    return x[:, None, None]


WRONG = {
    "check_ranknet": [
        lambda a, b, y: F.binary_cross_entropy_with_logits(b - a, y),
        lambda a, b, y: -F.logsigmoid(a - b).mean(),
        lambda a, b, y: F.binary_cross_entropy_with_logits(a - b, y, reduction="sum"),
    ],
    "check_invariance": [lambda x: 2 * x, lambda x: -x, lambda x: x],
    "check_similarity": [
        lambda s, f: torch.sin(s[:, None] * f).mean(1),
        lambda s, f: torch.cos(s[:, None] * f).sum(1),
        lambda s, f: torch.cos(s * f.mean()),
    ],
    "check_input_add": [
        lambda a, e: torch.cat([a[:, :1] + e[:, None], a[:, 1:]], 1),
        lambda a, e: a * e[:, None],
        lambda a, e: torch.cat([e[:, None], a], 1),
    ],
    "check_interpolate": [
        lambda x0, x1, t: torch.lerp(x1, x0, lead(t)),
        lambda x0, x1, t: lead(1 - t**2).sqrt() * x0 + lead(t) * x1,
        lambda x0, x1, t: x0 + lead(t) * x1,
    ],
    "check_target": [lambda x0, x1: x0 - x1, lambda x0, x1: x1, lambda x0, x1: (x1 - x0) / 2],
    "check_first_loss": [0.0, 1.0, 2**0.5],
    "check_nulls": [
        lambda s, d: s.masked_fill(~d, 0.0),
        lambda s, d: s.masked_fill(d, float(s.mean())),
        lambda s, d: s[~d],
    ],
    "check_z_scores": [lambda v: v / v.std(), lambda v: (v - v.mean()) / v.std(ddof=1), z],
    "check_select": [
        by_blend(lambda r, c: r),
        by_blend(lambda r, c: r + c),
        lambda r, c, k: np.argsort(z(r) + z(c))[-k:],
    ],
    "check_pairs": [
        lambda c: (c.argmin(1), c.argmax(1)),
        lambda c: (c.argmax(0), c.argmin(0)),
        lambda c: (c.argmax(1), np.argsort(c, 1)[:, 1]),
    ],
    "check_logit": [
        lambda w, lo, rw, rl, b: -b * ((w - lo) - (rw - rl)),
        lambda w, lo, rw, rl, b: 0.5 * b * ((w - lo) - (rw - rl)),
        lambda w, lo, rw, rl, b: -0.5 * b * (w - lo),
    ],
    "check_crpo_loss": [
        lambda x, w, m: -torch.sigmoid(x) + m * w,
        lambda x, w, m: -F.logsigmoid(-x) + m * w,
        lambda x, w, m: -F.logsigmoid(x),
    ],
    "check_guidance": [
        lambda c, n, w: c + w * (c - n),
        lambda c, n, w: n + w * (n - c),
        lambda c, n, w: w * c,
    ],
    "check_euler": [euler(0, sign=1), euler(1), euler(0, first=0.75)],
    "check_gain": [
        lambda lufs, peak, target, ceiling: target - lufs,
        lambda lufs, peak, target, ceiling: max(target - lufs, ceiling - peak),
        lambda lufs, peak, target, ceiling: ceiling - peak,
    ],
    "check_velocities": [lambda n: n, lambda n: n + 2, lambda n: n**2],
    "check_level": [
        lambda wave: 20 * np.log10(np.mean(np.square(wave))),
        lambda wave: 10 * np.log10(np.mean(np.abs(wave))),
        lambda wave: 20 * np.log10(np.max(np.abs(wave))),
    ],
    "check_leak": [
        lambda a, b: float(set(a) >= set(b)),
        lambda a, b: sum(piece in a for piece in b) / len(b),
        lambda a, b: len(set(a) & set(b)) / len(set(a)),
    ],
    "check_clap_score": [
        lambda t, a: (t * a).sum(1),
        lambda t, a: (t @ a.T)[0],
        lambda t, a: (t * a).sum(1) / (t**2).sum(1),
    ],
    "check_ratio": [
        lambda e, t: 10 * (t.square().sum(1) / (e - t).square().sum(1)).log10(),
        lambda e, t: 20 * (t.square().sum(1) / (e - t).square().sum(1)).log10(),
        lambda e, t: (e * t).sum(1) / (e.norm(dim=1) * t.norm(dim=1)),
    ],
    "check_mean_field": [
        mean_field(equal),
        lambda p, x, t: (p - x).mean(0) / t,
        lambda p, x, t: ((x - p) / t)[((x - p) ** 2).sum(1).argmin()],
    ],
}


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name in sorted(CHECKS) for number in range(3)]
)
def test_a_typical_wrong_answer_is_refused_with_a_reason(name, number):
    verdict = getattr(exercises, name)(WRONG[name][number])
    assert not verdict.right and len(verdict.text) > len("not yet: ") + 10
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
