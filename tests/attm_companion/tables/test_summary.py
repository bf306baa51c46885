import pytest

from attm_companion.study.results import Result, Value
from attm_companion.tables.summary import MECHANISMS, summarize, verdict


def difference(value: float, half: float) -> Value:
    return Value(value, "difference", n=100, low=value - half, high=value + half)


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
    assert verdict(Value(0.3, "FAD"), 1) == "no interval"


def test_every_mechanism_has_a_line():
    results: dict[str, Result] = {}
    for mechanism in MECHANISMS:
        result = results.setdefault(mechanism.experiment, Result(mechanism.experiment, "mini"))
        result.values[mechanism.key] = difference(0.5, 0.1)
    table = summarize(results)
    assert list(table.index) == [mechanism.name for mechanism in MECHANISMS]
    assert set(table["mini study"]) == {"shows", "contradicts"}
    assert table.loc["expert iteration lifts Reward", "95 %"] == "[0.400, 0.600]"
