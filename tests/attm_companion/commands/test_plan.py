from collections import Counter

import pytest

from attm_companion.commands.plan import Prices, configuration, plan, report, work_of
from attm_companion.paper_numbers import paper_value
from attm_companion.study.profile import load_profile
from attm_companion.study.scheduler import ensure
from attm_companion.study.stage import ancestry
from attm_companion.study.study import Study
from attm_companion.tables.experiments import all_stages
from attm_core import assets
from attm_core.errors import AssetError

AUDIO = ("clap_audio", "mert", "vae_encode", "vae_decode", "vocoder", "separation")
PARTS = ("text", "clap_text", "velocity", "training_step", *AUDIO)
PRICES = Prices({key: {"gflop": 10.0, "cpu_s": 0.5} for key in PARTS})


@pytest.fixture(autouse=True)
def _no_assets(monkeypatch, tmp_path):
    monkeypatch.setenv(assets._FOLDER_VARIABLE, str(tmp_path / "assets"))


def test_every_stage_of_the_paper_is_there_with_what_it_lacks():
    study = Study("paper")
    planned = {item.stage.uid: item for item in plan(study)}
    assert set(planned) == {stage.uid for stage in ancestry(all_stages(study))}
    assert planned[study.frozen.text.uid].missing == ("flan_t5",)
    assert planned[study.ranker.uid].missing == ("tunejury",)
    assert planned[study.sft("none").uid].missing == ()


def test_the_work_of_the_training_stages_follows_from_their_settings():
    study, paper = Study("paper"), load_profile("paper")
    assert work_of(study.baseline()) == {"training_step": 200_000 * 64}
    expert = work_of(study.expert("global_adaln"))
    assert expert["velocity"] == 600 * 25 * 2
    assert expert["vae_decode"] == expert["vocoder"] == expert["mert"] == 600
    assert expert["training_step"] == (30_000 + 5_000) * 64
    crpo = work_of(study.crpo())
    pairs = paper.crpo.training.n_steps * paper.crpo.training.batch_size
    assert crpo["training_step"] == 2 * pairs
    assert crpo["velocity"] == 2_000 * 5 * 25 * 2 + 2 * pairs
    # Stage 1 takes the hours that the paper says: its rate is what the others are priced at.
    assert PRICES.gpu_hours(work_of(study.baseline())) == pytest.approx(
        paper_value("hyper.stage1.hours")
    )
    half = Counter(training_step=200_000 * 32)
    assert PRICES.gpu_hours(half) == pytest.approx(paper_value("hyper.stage1.hours") / 2)
    assert PRICES.cpu_hours(Counter(mert=7200)) == pytest.approx(1.0)


def test_a_configuration_has_settings_and_inputs_but_not_where_it_runs():
    shown = configuration(Study("paper").crpo())
    assert shown["start"] == "expert iteration global_adaln"
    assert shown["config.training.lr"] == 1e-6
    assert shown["generation.w"] == 4.0
    assert not [key for key in shown if "launch" in key or "uid" in key]


def test_the_report_ends_with_sums_and_what_is_missing(monkeypatch):
    monkeypatch.setattr(Prices, "read", lambda: PRICES)
    lines = list(report(Study("paper")))
    assert sum(line.startswith("to run") for line in lines) == int(lines[-3].split()[0])
    assert "on the paper's GPU" in lines[-2]
    assert "mtg_jamendo" in lines[-1]
    assert "attm doctor --profile paper" in lines[-1]
    at = next(i for i, line in enumerate(lines) if "SFT none" in line)
    assert "training.lr=0.0001" in lines[at + 1]
    assert "PFLOP, 32.0 h on the paper's GPU" in lines[at + 2]


def test_other_casts_and_installed_packages_have_no_price(monkeypatch, tmp_path):
    assert "PFLOP" not in "".join(report(Study("smoke")))
    assert Prices.read(tmp_path / "parts.json") is None
    monkeypatch.setattr(Prices, "read", lambda: None)
    assert any("benchmarks/parts.py" in line for line in report(Study("paper")))


def test_a_study_without_its_assets_names_them_all_and_starts_nothing(tmp_path):
    study = Study("paper")
    with pytest.raises(AssetError, match=r"12 assets .*`attm assets fetch .*mert.*flan_t5.*doctor"):
        ensure(all_stages(study))
    assert not list((tmp_path / "cache").rglob("*"))
