import pytest

from attm_companion.study.results import Value
from attm_companion.tables.summary import verdict


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
