from dataclasses import replace

import pytest

from attm_companion.study.result_files import read_run, write_result
from attm_companion.study.results import QUERY, Result, Value
from attm_companion.tables.replication import agreement, mechanisms, pairs
from attm_companion.tables.summary import MECHANISMS, verdict
from attm_core.errors import ResultError

Z_95 = 1.959964


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
    bare = Value(row="a", metric="reward", value=value, unit="reward")
    line = replace(bare, low=value - half, high=value + half)
    assert verdict(line, direction) == expected
    assert verdict(bare, direction) == "no interval"


def run(shift: float = 0.0, half: float = Z_95) -> dict[str, Result]:
    """A run whose every value is ``shift``, with an interval of ± ``half``."""
    results: dict[str, Result] = {}
    for mechanism in MECHANISMS:
        origin = {"code": "test"}
        result = results.setdefault(
            mechanism.experiment, Result(mechanism.experiment, "toy", provenance=origin)
        )
        match = QUERY.match(mechanism.query)
        facts = {"against": match["against"] or "", "s": match["s"] and float(match["s"])}
        ends = {"low": shift - half, "high": shift + half}
        result.add(match["row"], match["metric"], shift, "1", **facts, **ends)
    for metric in ("fad", "clap", "reward"):
        results["cumulative"].add("row0", metric, shift, "1", low=shift - half, high=shift + half)
    return results


def test_a_difference_is_measured_in_both_intervals():
    # Standard errors 3 and 4: that of the difference is 5.
    both = pairs(run(1.0, 3 * Z_95), run(11.0, 4 * Z_95))
    assert both["z"].tolist() == pytest.approx([2.0] * len(both))
    assert pairs(run(half=0.0), run()).empty, "a value without an interval is not compared"
    first, second = run(), run(1.0)  # a value counts once, whatever table repeats it
    first["again"], second["again"] = first["cumulative"], second["cumulative"]
    assert len(pairs(first, second)) == len(pairs(run(), run(1.0)))


def test_equal_runs_agree_and_far_ones_do_not():
    same = agreement(run(), run())
    assert (same["rms z"] == 0).all()
    assert (same["beyond 1.96"] == 0).all()
    # Standard errors are 1: a shift of 3 is z = 3 / √2.
    apart = agreement(run(), run(3.0))
    assert apart["rms z"].tolist() == pytest.approx([3 / 2**0.5] * 3)
    assert (apart["beyond 1.96"] == 1).all()
    assert (apart["n"] == 1).all()


def test_mechanisms_stand_side_by_side():
    table = mechanisms(run(5.0), run(-5.0))
    assert list(table.index) == [mechanism.name for mechanism in MECHANISMS]
    signed = [mechanism.name for mechanism in MECHANISMS if mechanism.direction]
    assert (table.loc[signed, "same"] == "no").all()
    line = table.loc["expert iteration lifts Reward"]
    assert line.filter(like="95").tolist() == ["[3.040, 6.960]", "[-6.960, -3.040]"]
    assert line.filter(like="says").tolist() == ["shows", "contradicts"]
    assert (mechanisms(run(5.0), run(5.0))["same"] == "yes").all()


def test_a_run_is_read_from_its_folder(own_folders):
    with pytest.raises(ResultError, match="holds no results"):
        read_run("replications/never")
    for result in run().values():
        write_result(result)
    assert set(read_run("toy")) == {mechanism.experiment for mechanism in MECHANISMS}
