"""The published system at full size: parts, one clip, the data set, the plan of the study."""

from collections import Counter

import pytest

from attm_companion.book import full_size
from attm_companion.book.benchmark_tables import SHARE, read_benchmark
from attm_companion.commands.plan import PETA, Planned, Prices, plan, work_of
from attm_companion.paper_numbers import paper_value
from attm_companion.study.study import Study
from attm_core.errors import ConfigError

NAMES = ("text", "clap_text", "velocity", "vae_decode", "vocoder", "separation", "training_step")
PART = {"wall_s": 2.0, "gflop": 100.0, "peak_memory_mb": 500.0, "parameters": 3_000_000}
PARTS = {"machine": {"matmul_gflops_float32": 100.0}, "parts": dict.fromkeys(NAMES, PART)}
PRICES = Prices({key: {"gflop": 100.0, "cpu_s": 2.0} for key in NAMES})


def test_parts_by_hand():
    table = full_size.parts_table(PARTS)
    assert table.loc["vae decode", "weights, million"] == 3.0
    assert table.loc["vae decode", SHARE] == pytest.approx(50.0)

    own = {**PARTS, "parts": {"text": PART | {"matmul_gflops": 200.0}, "vocoder": PART}}
    assert list(full_size.parts_table(own)[SHARE]) == pytest.approx([25.0, 50.0])


def test_one_clip_by_hand():
    assert full_size.calls_of_a_clip(25)["velocity"] == 50
    assert full_size.calls_of_a_clip(25)["separation"] == 3
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


def test_the_committed_files_make_tables():
    parts, jamendo = read_benchmark("parts"), read_benchmark("jamendo")
    assert set(full_size.calls_of_a_clip(25)) <= set(parts["parts"])
    assert len(full_size.memory_table(jamendo)) == 2
    total = jamendo["at_scale"]["networks"]["machine_days"]
    assert full_size.extraction_table(jamendo)["days on the machine"].sum() == pytest.approx(total)
    prices = Prices.read()
    assert prices is not None
    assert full_size.plan_table(plan(Study("paper")), prices)["PFLOP"].is_monotonic_decreasing
