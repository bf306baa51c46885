import pytest

from attm_companion.ledger.expressions import evaluate
from attm_companion.ledger.release.audit import load_audit
from attm_companion.paper_numbers import load_paper
from attm_companion.study.result_files import ROOT
from attm_core.errors import InputError, ResultError

AUDIT = load_audit(ROOT / "results" / "released_audit.json")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 + 3 * 4 - -1", 15),
        ("(table2.row2.reward - table2.row1.reward) / 2", 0.248),
        ("audit.clips.n / 3", 100),
        ("max(abs(-2), min(5, 1)) + sqrt(4) + log(1)", 4),
        ("holds if 0 < x <= 3 and x != 2 else contradicted", "holds"),
        ("1 if x < 1 else 2 if x == 3 else 4", 2),
    ],
)
def test_values_by_hand(text, expected):
    names = {"x": 3, "holds": "holds", "contradicted": "contradicted"}
    assert evaluate(text, load_paper(), AUDIT, names) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["open('x')", "x[0]", "1 if x or 2 else 3", "lambda: 1", "'a'.b()"]
)
def test_nothing_but_arithmetic_is_evaluated(text):
    with pytest.raises(InputError, match="is not arithmetic"):
        evaluate(text, load_paper(), AUDIT, {"x": [1]})


def test_unknown_keys_are_errors():
    with pytest.raises(InputError, match=r"no number 'table9\.row0'"):
        evaluate("table9.row0 + 1", load_paper(), AUDIT, {})
    with pytest.raises(ResultError, match=r"no figure 'clips\.nothing'"):
        evaluate("audit.clips.nothing", load_paper(), AUDIT, {})
