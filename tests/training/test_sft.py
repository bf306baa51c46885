import torch
from attm_core.training.null_dropout import NullConfig
from attm_core.training.sft import SFTConfig, SFTObjective, ValidationLoss, train_sft


def test_training_lowers_the_validation_loss_and_logs_every_step(
    make_model, make_set, make_train, tmp_path
):
    config = SFTConfig(make_train(40), batch_size=8)
    model, train, valid = make_model(), make_set(), make_set(8, seed=1)
    model.set_latent_statistics(*train.statistics())
    before = ValidationLoss(valid)(model)
    result = train_sft(model, train, valid, config, tmp_path)
    assert list(result.log["step"]) == list(range(1, 41))
    assert result.log["validation_loss"].dropna().index.tolist() == list(range(3, 40, 4))
    assert result.log["validation_loss"].iloc[-1] == ValidationLoss(valid)(model)
    assert result.log["validation_loss"].iloc[-1] < 0.8 * before
