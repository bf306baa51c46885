"""Tables of the benchmarks: ratios, shares of the machine's rate, and what is said without them."""

import copy

import pytest

from attm_companion.book import benchmark_tables as tables
from attm_core.errors import ResultError

MACHINE = {"matmul_gflops_float32": 100.0, "matmul_gflops_bfloat16": 400.0}


def sampling_row(variant: str, seconds: float, error: float, ratio: float | None) -> dict:
    return {
        "variant": variant,
        "step_wall_s_best": seconds,
        "relative_l2_to_first": error,
        "reference_gflops_a_second": 100.0 / seconds,
        "best_reference_over_this": ratio and {"wall_s_best": ratio},
    }


SAMPLING = {
    "machine": MACHINE,
    "rows": [
        sampling_row("reference float32", 4.0, 0.0, 0.5),
        sampling_row("reference bfloat16", 2.0, 0.02, 1.0),
        sampling_row("frozen float32", 2.5, 1e-6, 0.8),
        sampling_row("frozen bfloat16", 0.5, 0.008, 4.0),
    ],
}
TRAINING = {
    "machine": MACHINE,
    "rows": [
        {"variant": "ours D=96", "wall_s_best": 0.1, "gflop": 20.0,
         "reference_over_this": {"wall_s_best": 1.5}},
        {"variant": "reference D=96", "wall_s_best": 0.15, "gflop": 20.0,
         "reference_over_this": {"wall_s_best": 1.0}},
    ],
}  # fmt: skip
FRECHET = {
    "sqrtm_s": 0.5,
    "nuclear_norm_s": 0.02,
    "nuclear_norm_reused_reference_s": 0.005,
    "ratio": 25.0,
    "ratio_reused_reference": 100.0,
    "difference": 2e-6,
    "gflop": 0.2,
    "gflop_reused_reference": 0.1,
    "matmul_gflops_float64": 40.0,
}


def without_reference(found: dict) -> dict:
    alone = copy.deepcopy(found)
    alone["rows"] = [row for row in alone["rows"] if "reference" not in row["variant"]]
    for row in alone["rows"]:
        for key in ("best_reference_over_this", "reference_over_this"):
            if key in row:
                row[key] = None
    return alone


def verdicts(sampling: dict) -> list[str]:
    return [item.verdict for item in tables.targets(sampling, TRAINING, FRECHET)]


def test_sampling_by_hand():
    table = tables.sampling_table(SAMPLING)
    assert list(table[tables.RATIO]) == [0.5, 1.0, 0.8, 4.0]
    assert table.loc["frozen bfloat16", "error, %"] == pytest.approx(0.8)
    assert table.loc["frozen bfloat16", tables.SHARE] == pytest.approx(50.0)  # 200 of 400
    assert table.loc["frozen float32", tables.SHARE] == pytest.approx(40.0)  # 40 of 100

    table = tables.training_table(TRAINING)
    assert table.loc["ours D=96", "ms a step"] == pytest.approx(100.0)
    assert table.loc["ours D=96", tables.SHARE] == pytest.approx(50.0)  # 200 of 400
    table = tables.frechet_table(FRECHET)
    assert list(table[tables.RATIO]) == [1.0, 25.0, 100.0]
    assert list(table[tables.SHARE])[1:] == pytest.approx([25.0, 50.0])


def test_targets_by_hand():
    found = tables.targets(SAMPLING, TRAINING, FRECHET)
    measured = [item.measured for item in found]
    assert measured == pytest.approx([4.0, 0.8, 1.6, 1e-6, 100.0, 25.0, 2e-6])
    assert verdicts(SAMPLING) == ["met"] * 4 + ["missed", "met", "missed"]
    table = tables.target_table(found)
    assert table.iloc[0].to_list() == ["≥ 2.5 ×", "4 ×", "met"]
    assert table.iloc[4].to_list() == ["≤ 60 ms", "100 ms", "missed"]
    missed = tables.Target("sampling", 2.5, 1.302, False, " ×")
    assert missed.sentence == "Missed: sampling, 1.3 ×; at least 2.5 × wanted."
    assert tables.Target("step", 60.0, 60.0, True, " ms").verdict == "met"


def test_without_the_reference_there_is_no_ratio():
    alone = without_reference(SAMPLING)
    assert tables.sampling_table(alone)[tables.RATIO].isna().all()
    assert tables.training_table(without_reference(TRAINING))[tables.RATIO].isna().all()
    with pytest.raises(ResultError, match="REFERENCE="):
        tables.run_with_reference(alone)
    later = alone | {"with_reference": SAMPLING}  # the last run with it still counts
    assert tables.run_with_reference(later) is SAMPLING
    assert verdicts(later) == verdicts(SAMPLING)


def test_what_the_matrix_rate_allows_by_hand():
    table = tables.limits(SAMPLING, TRAINING)
    # The reference's best mode does 50 of 400 GFLOP/s; a step of 20 GFLOP takes 50 ms at 400.
    assert list(table["at the matrix rate"]) == ["8 ×", "50 ms"]
    assert list(table["wanted"]) == ["≥ 2.5 ×", "≤ 60 ms"]


def test_ratios_are_those_of_our_variants():
    found = tables.ratios_to_reference(SAMPLING, TRAINING, FRECHET)
    assert list(found) == [0.8, 4.0, 1.5, 25.0, 100.0]
    assert found["sampling: frozen bfloat16"] == 4.0


def test_the_committed_files_make_tables(tmp_path):
    sampling, training = tables.read_benchmark("sampling"), tables.read_benchmark("training_step")
    frechet = tables.read_benchmark("frechet")
    assert tables.run_with_reference(sampling) and tables.run_with_reference(training)
    made = tables.sampling_table(sampling), tables.training_table(training)
    for table in (*made, tables.frechet_table(frechet)):
        assert (table[tables.SHARE].dropna() > 0).all()
    assert len(tables.target_table(tables.targets(sampling, training, frechet))) == 7

    with pytest.raises(ResultError, match=r"no sampling\.json .* make benchmarks"):
        tables.read_benchmark("sampling", tmp_path)
