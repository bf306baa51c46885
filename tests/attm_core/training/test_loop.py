import multiprocessing
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from training_toys import interrupted, same_weights, tiny_model, tiny_set, tiny_train

from attm_core.errors import CheckpointError, ConfigError, TrainingError
from attm_core.training.ema import _synthesize
from attm_core.training.loop import fit
from attm_core.training.run import Run
from attm_core.training.sft import SFTObjective, sft


def run(model, clips, train, folder):
    model.set_latent_statistics(*clips.statistics())
    objective, weight = SFTObjective(model, clips, train), model.t_embed.mlp[0].weight
    return fit(model, objective, train, Run(folder), validate=lambda: float(weight.sum()))


def stopped(folder, stop, kills):
    with interrupted(stop, kills=kills):
        run(tiny_model(), tiny_set(), tiny_train(), folder)


@pytest.mark.parametrize(("stop", "kills"), [(2, False), (5, False), (7, True), (9, False)])
def test_a_stopped_run_resumes_to_the_same_bits(tmp_path, stop, kills):
    whole, resumed, clips = tiny_model(), tiny_model(), tiny_set()
    wanted = run(whole, clips, tiny_train(), tmp_path / "whole")
    given = (tmp_path / "cut", stop, kills)
    if kills:
        process = multiprocessing.get_context("spawn").Process(target=stopped, args=given)
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    else:
        stopped(*given)
    assert not (tmp_path / "cut" / "log.csv").exists()
    assert (tmp_path / "cut" / "state.safetensors").exists() == (stop != 2)
    got = run(resumed, clips, tiny_train(), tmp_path / "cut")
    assert same_weights(whole, resumed)
    pd.testing.assert_frame_equal(got.log, wanted.log, check_exact=True)
    for sigma_rel in (0.05, 0.1):
        averages = [_synthesize(result.folder / "ema", sigma_rel) for result in (got, wanted)]
        assert all(torch.equal(averages[0][name], averages[1][name]) for name in averages[0])


def test_a_finished_run_is_loaded_with_its_losses_and_norms(tmp_path, monkeypatch):
    clips = tiny_set()
    first = run(tiny_model(), clips, tiny_train(), tmp_path)
    monkeypatch.setattr(SFTObjective, "draw", None)
    again = run(tiny_model(), clips, tiny_train(), tmp_path)
    pd.testing.assert_frame_equal(first.log, again.log, check_exact=True)
    stored = pd.read_csv(tmp_path / "log.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(first.log, stored, check_exact=True)
    log = first.log
    assert list(log.columns) == ["step", "loss", "grad_norm", "validation_loss"]
    assert log["step"].tolist() == list(range(1, 13))
    assert np.isfinite(log[["loss", "grad_norm"]].to_numpy()).all()
    assert log["step"][log["validation_loss"].notna()].tolist() == [4, 8, 12]


def test_another_configuration_data_or_start_is_refused(tmp_path):
    run(tiny_model(), tiny_set(), tiny_train(), tmp_path)
    others = [
        (tiny_model(), tiny_set(), tiny_train(13)),
        (tiny_model(seed=1), tiny_set(), tiny_train()),
        (tiny_model(), tiny_set(seed=1), tiny_train()),
    ]
    for model, clips, train in others:
        with pytest.raises(CheckpointError, match="belongs to a run with another"):
            run(model, clips, train, tmp_path)
    with pytest.raises(ConfigError, match="batch of 8 cannot be cut"):
        run(tiny_model(), tiny_set(), tiny_train(accumulation=3), tmp_path / "3")


def test_a_loss_that_is_no_number_names_its_step(tmp_path):
    clips = tiny_set()
    broken = SFTObjective(tiny_model(), clips, tiny_train())
    broken.model.set_latent_statistics(*clips.statistics())
    draw = broken.draw

    def poisoned(step: int):
        drawn = draw(step)
        if step == 6:
            drawn.noise.fill_(float("nan"))
        return drawn

    broken.draw = poisoned
    with pytest.raises(TrainingError, match="not finite at step 7;"):
        fit(broken.model, broken, tiny_train(), Run(tmp_path))
    resumed = run(tiny_model(), clips, tiny_train(), tmp_path)
    assert np.isfinite(resumed.log["loss"]).all()


def test_bf16_training_follows_fp32(tmp_path, processor):
    processor(avx512_bf16=True)
    losses = {}
    for precision in ("fp32", "bf16"):
        config = tiny_train(lr=3e-3, warmup_steps=0, precision=precision, eps=1e-8)
        result = sft(tiny_model(), tiny_set(), None, config, Run(tmp_path / precision))
        losses[precision] = result.log["loss"].to_numpy()
    assert not np.array_equal(losses["fp32"], losses["bf16"])
    np.testing.assert_allclose(losses["bf16"], losses["fp32"], rtol=0.05)


def test_a_run_without_a_folder_trains_the_same_and_keeps_nothing(tmp_path, monkeypatch):
    kept, alone, clips = tiny_model(), tiny_model(), tiny_set()
    wanted = run(kept, clips, tiny_train(), tmp_path / "kept")
    assert len(list((tmp_path / "kept" / "ema").iterdir())) == 3
    monkeypatch.chdir(tmp_path)
    got = run(alone, clips, tiny_train(sigma_rels=()), None)  # averages may be left out
    assert same_weights(kept, alone)
    pd.testing.assert_frame_equal(got.log, wanted.log, check_exact=True)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
