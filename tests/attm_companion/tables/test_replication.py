import pytest

from attm_companion.study.results import Result, Value, write_result
from attm_companion.tables.replication import agreement, mechanisms, pairs, read_run, z_of
from attm_companion.tables.summary import MECHANISMS
from attm_core.errors import ResultError


def run(shift: float = 0.0, half: float = 1.96) -> dict[str, Result]:
    """A run whose every value is ``shift``, with an interval of ± ``half``."""
    results: dict[str, Result] = {}
    for mechanism in MECHANISMS:
        result = results.setdefault(
            mechanism.experiment, Result(mechanism.experiment, "toy", provenance={"code": "test"})
        )
        interval = {"low": shift - half, "high": shift + half}
        result.add(mechanism.key, shift, "1", **interval)
        for metric in ("fad", "clap", "reward"):
            result.add(f"{mechanism.key}.{metric}", shift, "1", **interval)
    return results


def test_a_difference_is_measured_in_both_intervals():
    # Standard errors 3 and 4: that of the difference is 5.
    first = Value(1.0, "1", low=1 - 3 * 1.959964, high=1 + 3 * 1.959964)
    second = Value(11.0, "1", low=11 - 4 * 1.959964, high=11 + 4 * 1.959964)
    assert z_of(first, second) == pytest.approx(2.0)
    assert z_of(second, first) == pytest.approx(-2.0)


def test_a_value_without_an_interval_cannot_be_compared():
    with pytest.raises(ResultError, match="no interval"):
        z_of(Value(1.0, "1"), Value(1.0, "1", low=0.0, high=2.0))
    with pytest.raises(ResultError, match="no interval"):
        z_of(Value(1.0, "1", low=1.0, high=1.0), Value(1.0, "1", low=0.0, high=2.0))


def test_equal_runs_agree_and_far_ones_do_not():
    same = agreement(run(), run())
    assert (same["rms z"] == 0).all()
    assert (same["beyond 1.96"] == 0).all()
    # Standard errors are 1.96 / 1.959964, hence ≈ 1: a shift of 3 is z = 3 / √2.
    apart = agreement(run(), run(3.0))
    assert apart["rms z"].tolist() == pytest.approx([3 / 2**0.5] * 3, rel=1e-4)
    assert (apart["beyond 1.96"] == 1).all()
    assert (apart["n"] > 0).all()


def test_a_value_counts_once_whatever_file_repeats_it():
    first, second = run(), run()
    first["again"] = second["again"] = next(iter(first.values()))
    assert len(pairs(first, second, ".reward")) == len(pairs(run(), run(), ".reward"))


def test_mechanisms_stand_side_by_side():
    table = mechanisms(run(5.0), run(-5.0))
    assert list(table.index) == [mechanism.name for mechanism in MECHANISMS]
    signed = [mechanism.name for mechanism in MECHANISMS if mechanism.direction]
    assert (table.loc[signed, "same"] == "no").all()
    assert (mechanisms(run(5.0), run(5.0))["same"] == "yes").all()


def test_a_run_is_read_from_its_folder(own_folders):
    with pytest.raises(ResultError, match="holds no results"):
        read_run("replications/never")
    for result in run().values():
        write_result(result)
    assert set(read_run("toy")) == {mechanism.experiment for mechanism in MECHANISMS}
