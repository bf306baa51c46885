import pytest

from attm_companion.study.results import QUERY, Result, Value
from attm_companion.tables.summary import MECHANISMS, Mechanism, summarize, verdict


def difference(value: float, half: float) -> Value:
    low, high = value - half, value + half
    return Value(row="a", metric="reward", value=value, unit="reward", n=100, low=low, high=high)


@pytest.mark.parametrize(
    ("value", "half", "direction", "expected"),
    [
        (0.3, 0.1, 1, "shows"),
        (0.3, 0.1, -1, "contradicts"),
        (-0.3, 0.1, -1, "shows"),
        (0.1, 0.2, 1, "not seen"),
        (-0.1, 0.2, 1, "not seen"),
        (0.1, 0.2, 0, "consistent"),
        (0.3, 0.1, 0, "contradicts"),
    ],
)
def test_the_interval_alone_decides(value, half, direction, expected):
    assert verdict(difference(value, half), direction) == expected


def test_a_value_without_interval_decides_nothing():
    assert verdict(Value(row="a", metric="fad", value=0.3, unit="FAD"), 1) == "no interval"


def add_deciding(result: Result, mechanism: Mechanism, value: float, half: float) -> None:
    """Add the line that a mechanism is decided by."""
    match = QUERY.match(mechanism.query)
    s = float(match["s"]) if match["s"] else None
    facts = {"against": match["against"] or "", "s": s, "n": 100}
    ends = {"low": value - half, "high": value + half}
    result.add(match["row"], match["metric"], value, "1", **facts, **ends)


def test_every_mechanism_has_a_line():
    results: dict[str, Result] = {}
    for mechanism in MECHANISMS:
        result = results.setdefault(mechanism.experiment, Result(mechanism.experiment, "mini"))
        add_deciding(result, mechanism, 0.5, 0.1)
    table = summarize(results)
    assert list(table.index) == [mechanism.name for mechanism in MECHANISMS]
    assert set(table["mini study"]) == {"shows", "contradicts"}
    assert table.loc["expert iteration lifts Reward", "95 %"] == "[0.400, 0.600]"
