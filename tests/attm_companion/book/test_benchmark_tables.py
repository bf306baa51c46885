from collections import Counter

import pytest

from attm_companion.book import benchmark_tables as tables
from attm_companion.book import full_size
from attm_companion.commands.plan import PETA, Planned, Prices, plan, work_of
from attm_companion.paper_numbers import paper_value
from attm_companion.study.study import Study
from attm_core.errors import ConfigError, ResultError

MACHINE = {"matmul_gflops_float32": 100.0, "matmul_gflops_bfloat16": 400.0}
SAMPLING = {
    "machine": MACHINE,
    "rows": [
        {
            "variant": variant,
            "step_wall_s_best": seconds,
            "relative_l2_to_first": error,
            "reference_gflops_a_second": 100.0 / seconds,
            "best_reference_over_this": {"wall_s_best": ratio},
        }
        for variant, seconds, error, ratio in (
            ("reference float32", 4.0, 0.0, 0.5),
            ("reference bfloat16", 2.0, 0.02, 1.0),
            ("frozen float32", 2.5, 1e-6, 0.8),
            ("frozen bfloat16", 0.5, 0.008, 4.0),
        )
    ],
}
TRAINING = {
    "machine": MACHINE,
    "rows": [
        {"variant": variant, "wall_s_best": seconds, "gflop": 20.0,
         "reference_over_this": {"wall_s_best": ratio}}
        for variant, seconds, ratio in (("ours D=96", 0.1, 1.5), ("reference D=96", 0.15, 1.0))
    ],
}  # fmt: skip
FRECHET = {"sqrtm_s": 0.5, "nuclear_norm_s": 0.02, "nuclear_norm_reused_reference_s": 0.005,
           "ratio": 25.0, "ratio_reused_reference": 100.0, "difference": 2e-6, "gflop": 0.2,
           "gflop_reused_reference": 0.1, "matmul_gflops_float64": 40.0}  # fmt: skip
NAMES = ("text", "clap_text", "velocity", "vae_decode", "vocoder", "separation", "training_step")
PART = {"wall_s": 2.0, "gflop": 100.0, "peak_memory_mb": 500.0, "parameters": 3_000_000}
PARTS = {"machine": MACHINE, "parts": dict.fromkeys(NAMES, PART)}
PRICES = Prices({key: {"gflop": 100.0, "cpu_s": 2.0} for key in NAMES})


def without_reference(found: dict) -> dict:
    nothing = {"best_reference_over_this": None, "reference_over_this": None}
    return found | {"rows": [r | nothing for r in found["rows"] if "reference" not in r["variant"]]}


def test_tables_by_hand():
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
    # The reference's best mode does 50 of 400 GFLOP/s; a step of 20 GFLOP takes 50 ms at 400.
    table = tables.limits(SAMPLING, TRAINING)
    assert list(table["at the matrix rate"]) == ["8 ×", "50 ms"]
    assert list(table["wanted"]) == ["≥ 2.5 ×", "≤ 60 ms"]
    ratios = tables.ratios_to_reference(SAMPLING, TRAINING, FRECHET)
    assert list(ratios) == [0.8, 4.0, 1.5, 25.0, 100.0]
    assert ratios["sampling: frozen bfloat16"] == 4.0


def test_targets_by_hand():
    found = tables.targets(SAMPLING, TRAINING, FRECHET)
    measured = [item.measured for item in found]
    assert measured == pytest.approx([4.0, 0.8, 1.6, 1e-6, 100.0, 25.0, 2e-6])
    assert [item.verdict for item in found] == ["met"] * 4 + ["missed", "met", "missed"]
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
    assert tables.targets(later, TRAINING, FRECHET) == tables.targets(SAMPLING, TRAINING, FRECHET)


def test_parts_and_one_clip_by_hand():
    own = {**PARTS, "parts": {"text": PART | {"matmul_gflops": 200.0}, "vocoder": PART}}
    table = full_size.parts_table(own)
    assert list(table[tables.SHARE]) == pytest.approx([25.0, 50.0])
    assert table.loc["vocoder", "weights, million"] == 3.0
    calls = full_size.calls_of_a_clip(25)
    assert (calls["velocity"], calls["separation"]) == (50, 3)
    table = full_size.clip_table(PARTS, n_steps=25)
    assert table.index[0] == "velocity"
    assert table["seconds"].sum() == pytest.approx(2.0 * (50 + 3 + 4))
    assert table[full_size.SHARE_OF_TIME].sum() == pytest.approx(100.0)


def test_the_plan_by_kind_of_stage():
    stage = Study("paper").baseline()
    table = full_size.plan_table([Planned(stage, work_of(stage), ())] * 2, PRICES)
    row, hours = table.loc[stage.label], paper_value("hyper.stage1.hours")
    assert (row["number"], row[full_size.STAGE_1]) == (2, pytest.approx(2 * hours))
    steps = 2 * work_of(stage)["training_step"]
    assert row["PFLOP"] == pytest.approx(steps * 100.0e9 / PETA)

    missing = {"at_scale": {"networks": None, "networks_missing": "parts.json lacks mert"}}
    with pytest.raises(ConfigError, match="lacks mert"):
        full_size.extraction_table(missing)
    with pytest.raises(ConfigError, match="plan the profile 'paper'"):
        full_size.plan_table([Planned(stage, Counter(), ())], PRICES)


def test_the_committed_files_make_tables(tmp_path):
    names = ("sampling", "training_step", "frechet", "parts", "jamendo")
    sampling, training, frechet, parts, jamendo = map(tables.read_benchmark, names)
    assert tables.run_with_reference(sampling) and tables.run_with_reference(training)
    made = tables.sampling_table(sampling), tables.training_table(training)
    for table in (*made, tables.frechet_table(frechet)):
        assert (table[tables.SHARE].dropna() > 0).all()
    assert len(tables.target_table(tables.targets(sampling, training, frechet))) == 7
    assert set(full_size.calls_of_a_clip(25)) <= set(parts["parts"])
    assert len(full_size.memory_table(jamendo)) == 2
    total = jamendo["at_scale"]["networks"]["machine_days"]
    assert full_size.extraction_table(jamendo)["days on the machine"].sum() == pytest.approx(total)
    prices = Prices.read()
    assert prices is not None
    assert full_size.plan_table(plan(Study("paper")), prices)["PFLOP"].is_monotonic_decreasing

    with pytest.raises(ResultError, match=r"no sampling\.json .* make benchmarks"):
        tables.read_benchmark("sampling", tmp_path)
