"""Every computed verdict can fail: some change of a number or a figure that it reads flips it."""

import copy
from unittest.mock import patch

import pytest

from attm_companion.ledger.evidence import Evidence, load_claims
from attm_companion.ledger.ledger import run_check
from attm_companion.ledger.release.audit import Audit
from attm_companion.paper_numbers import Paper, parse_cell

COMPUTED = [claim for claim in load_claims().values() if claim.kind == "computed"]
FACTORS = (0.5, 0.9, 1.1, 2.0, 10.0, 0.0, -1.0)
UNITS = (-10, -5, -1, 1, 5, 10)
# A verdict on several steps, metrics or systems at once: no single number can turn it.
TOGETHER = {
    "C17": {"table2.row2.clap": "0.280", "table2.row4.reward": "+0.540"},
    "C82": {"clips.systems.sub1.on_target": 100, "clips.systems.sub2.on_target": 100},
    "C108": {"table3.sub2.clap": "0.280", "table3.sub2.reward": "+0.500"},
    "C83": {"clips.systems.sub1.above_ceiling": 0, "clips.systems.sub2.above_ceiling": 0},
    "C87": {
        "scores.clap.systems.baseline.mean": 0.230,
        "scores.reward.systems.baseline.mean": -0.392,
    },
}


def spied(kind, name):
    """A method that works as ever and remembers its calls."""
    return patch.object(kind, name, autospec=True, side_effect=getattr(kind, name))


def asked_for(claim, evidence):
    """The printed numbers and the figures of the audit that a check reads."""
    printed, column, figure = (Paper, "cell"), (Paper, "column"), (Audit, "__getitem__")
    with spied(*printed) as cell, spied(*column) as column, spied(*figure) as figure:
        run_check(claim, evidence)
    keys = {call.args[1] for call in cell.call_args_list}
    for _, prefix, name in (call.args for call in column.call_args_list):
        keys |= {f"{prefix}.{row}.{name}" for row in evidence.paper.column(prefix, name)}
    return keys, {call.args[1] for call in figure.call_args_list}


def leaves(path, node):
    if isinstance(node, dict):
        for name, child in node.items():
            yield from leaves(f"{path}.{name}", child)
    else:
        yield path, node


def reprinted(cell, others):
    """The cell with other digits, those of another cell, another emphasis or another mark."""
    unit = 2 * cell.half_unit
    values = [cell.value + n * unit for n in UNITS] + [cell.value * f for f in FACTORS]
    for value in [*values, *sorted(others - {cell.value})]:
        yield f"{'**' * cell.bold}{value:.{cell.decimals}f}{'**' * cell.bold}{cell.mark}"
    yield f"{'**' * (not cell.bold)}{cell.text}{'**' * (not cell.bold)}{cell.mark}"
    yield f"{'**' * cell.bold}{cell.text}{'**' * cell.bold}{'' if cell.mark else '*'}"


def moved(value):
    if isinstance(value, int | float):
        yield from (type(value)(value * factor) for factor in FACTORS)
        yield from (type(value)(value + n) for n in (-1, 1))
    elif isinstance(value, list):
        yield from ([], [*value, *value, 7], ["other"])
    else:
        yield "other"


def with_figures(evidence, figures):
    """The evidence with some printed numbers, or figures of the audit, changed."""
    paper, tree = evidence.paper, None
    for path, value in figures.items():
        if path in paper.cells:
            paper = Paper({**paper.cells, path: parse_cell(path, value)}, paper.labels)
            continue
        tree = tree or copy.deepcopy(evidence.audit.figures)
        *folders, name = path.split(".")
        node = tree
        for folder in folders:
            node = node[folder]
        node[name] = value
    audit = Audit(tree, measured_now=False) if tree else evidence.audit
    return Evidence(paper, audit)


def verdict(claim, evidence):
    try:
        return run_check(claim, evidence)[0]
    except (ZeroDivisionError, ValueError, IndexError, OverflowError, TypeError):
        return "refused"


def changes(claim, evidence):
    """Each change of one number that the check reads, and the declared joint ones."""
    cells, paths = asked_for(claim, evidence)
    if together := TOGETHER.get(claim.id):
        said = " and ".join(f"{key} = {value}" for key, value in together.items())
        yield said, with_figures(evidence, together)
    others = {evidence.paper[key] for key in cells}
    for key in sorted(cells):
        for printed in reprinted(evidence.paper.cell(key), others):
            yield f"{key} = {printed}", with_figures(evidence, {key: printed})
    for path in sorted(paths):
        for leaf, value in leaves(path, evidence.audit[path]):
            parent = evidence.audit[leaf.rpartition(".")[0]].values()
            siblings = [v for v in parent if isinstance(value, int) and isinstance(v, int)]
            for new in [*moved(value), *siblings]:
                yield f"{leaf} = {new}", with_figures(evidence, {leaf: new})


def flips(claim, evidence):
    """The changes after which the check gives another verdict."""
    before = verdict(claim, evidence)
    for change, changed in changes(claim, evidence):
        after = verdict(claim, changed)
        if after not in (before, "refused"):
            yield change, str(after)


@pytest.mark.parametrize("claim", COMPUTED, ids=lambda claim: claim.id)
def test_some_change_flips_a_computed_verdict(claim, evidence):
    assert next(flips(claim, evidence), None) is not None


@pytest.mark.parametrize("claim_id", list(TOGETHER))
def test_declared_joint_changes_are_needed_and_enough(claim_id, evidence):
    found = list(flips(load_claims()[claim_id], evidence))
    assert [" and " in change for change, _ in found] == [True]


@pytest.mark.parametrize(
    ("key", "printed", "expected"),
    [
        ("table2.row0.fad", "0.4900", {"C10": "holds"}),
        ("table3.sft.v1_v2.fad", "0.4581", {"C103": "holds"}),
        ("table2.row0.reward", "-0.044", {"C95": "ambiguous"}),
        ("table3.sub2.reward", "**+0.550**", {"C109": "holds"}),
        ("hyper.stage2.n_kept", "60", {"C46": "holds"}),
        ("table2.row4.fad", "**0.4219**", {"C94": "contradicted", "C115": "holds"}),
        ("text.total_gpu_hours", "30", {"C71": "contradicted", "C124": "contradicted"}),
        ("table1.v4.clap", "0.260", {"C09": "contradicted", "C24": "contradicted"}),
        ("fig2.sft_reward_s2", "+0.51", {"C117": "contradicted"}),
        ("hyper.inference.s", "2.5", {"C75": "contradicted"}),
        ("hyper.ranker.accuracy", "0.709", {"C44": "holds"}),
        ("public.e02_clap", "0.280", {"C120": "contradicted"}),
    ],
)
def test_one_changed_number_flips_exactly_the_right_claims(evidence, key, printed, expected):
    changed = with_figures(evidence, {key: printed})
    before, after = ({c.id: verdict(c, e) for c in COMPUTED} for e in (evidence, changed))
    assert {name: new for name, new in after.items() if new != before[name]} == expected
