import pytest
import torch

from attm_core.randomness import torch_generator
from attm_core.training.flow_matching import flow_matching_loss, interpolate, sample_time


def test_time_runs_from_data_to_noise():
    data, noise = torch.full((3, 2, 2), 10.0), torch.full((3, 2, 2), -2.0)
    path = interpolate(data, noise, torch.tensor([0.0, 0.25, 1.0]))
    assert path[:, 0, 0].tolist() == [10.0, 7.0, -2.0]


def test_the_path_has_the_velocity_as_its_slope():
    data, noise = torch.randn(2, 4, 5, 3, generator=torch_generator(0, "path"))
    t = torch.linspace(0.1, 0.8, 4)
    slope = (interpolate(data, noise, t + 0.1) - interpolate(data, noise, t)) / 0.1
    torch.testing.assert_close(slope, noise - data, atol=1e-5, rtol=1e-5)


def test_loss_by_hand_is_a_mean_over_time_and_channels_of_each_sample():
    data, noise = torch.zeros(2, 2, 1), torch.ones(2, 2, 1)
    velocity = torch.tensor([[[1.0], [1.0]], [[3.0], [0.0]]])
    assert flow_matching_loss(velocity, data, noise).tolist() == [0.0, (4 + 1) / 2]
    assert flow_matching_loss(velocity.bfloat16(), data, noise).dtype == torch.float32


def test_times_are_logit_normal():
    t = sample_time(20_000, torch_generator(0, "time"))
    logits = torch.logit(t)
    assert logits.mean().item() == pytest.approx(0.0, abs=0.03)
    assert logits.std().item() == pytest.approx(1.0, abs=0.03)
    assert 0 < t.min() < t.max() < 1
