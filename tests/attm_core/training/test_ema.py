import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn

from attm_core.errors import CheckpointError, ConfigError
from attm_core.training.ema import PowerEma, _profile_products, _synthesize, gamma_of, load_ema

N_STEPS = 240


def weights_by_hand(n_steps: int, gamma: float) -> np.ndarray:
    """Share of each stored step in the average: the profile's integral over the step."""
    edges = np.arange(n_steps + 1) / n_steps
    return np.diff(edges ** (gamma + 1))


def walk(seed: int = 0) -> torch.Tensor:
    steps = np.random.default_rng(seed).normal(size=(N_STEPS, 5))
    return torch.tensor(np.cumsum(steps, axis=0) / 4, dtype=torch.float32)


def run(path: torch.Tensor, folder, snapshot_every: int = 40) -> PowerEma:
    model = nn.Linear(5, 1, bias=False)
    ema = PowerEma(model)
    for step, weight in enumerate(path, start=1):
        model.weight.data.copy_(weight)
        ema.update(step)
        if step % snapshot_every == 0:
            ema.save_snapshot(folder, step)
    return ema


@pytest.mark.parametrize(
    ("sigma_rel", "gamma", "within"),
    [(0.05, 16.9722, 1e-4), (0.1, 6.9372, 1e-4), (0.2, None, None), (12**-0.5, 0.0, 1e-6)],
)
def test_gamma_gives_a_profile_of_that_relative_width(sigma_rel, gamma, within):
    found = gamma_of(sigma_rel)
    assert gamma is None or found == pytest.approx(gamma, abs=within)
    mean = quad(lambda tau: (found + 1) * tau ** (found + 1), 0, 1)[0]
    square = quad(lambda tau: (found + 1) * tau ** (found + 2), 0, 1)[0]
    assert np.sqrt(square - mean**2) == pytest.approx(sigma_rel, rel=1e-6)
    with pytest.raises(ConfigError, match="sigma_rel lies in"):
        gamma_of(0.3)


def test_tracked_average_is_the_weighted_mean_of_the_path(tmp_path):
    path = walk()
    ema = run(path, tmp_path)
    for index, gamma in enumerate(ema.gammas):
        wanted = weights_by_hand(N_STEPS, gamma) @ path.double().numpy()
        np.testing.assert_allclose(ema.tensors()[f"{index}.weight"][0], wanted, atol=1e-5)


def test_profile_products_are_the_integrals():
    def profile(tau: float, t: float, gamma: float) -> float:
        return (gamma + 1) * tau**gamma / t ** (gamma + 1) if tau <= t else 0.0

    got = _profile_products(*(np.array([v]) for v in (80.0, 7.0, 100.0, 17.0)))[0, 0]
    wanted = quad(lambda tau: profile(tau, 80, 7) * profile(tau, 100, 17), 0, 80)[0]
    assert got == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize(("sigma_rel", "step"), [(0.07, 240), (0.15, 240), (0.08, 200)])
def test_synthesis_of_another_width_is_near_the_direct_average(tmp_path, sigma_rel, step):
    path = walk()
    run(path, tmp_path)
    direct = weights_by_hand(step, gamma_of(sigma_rel)) @ path[:step].double().numpy()
    got = _synthesize(tmp_path, sigma_rel, step)["weight"][0].numpy()
    assert np.abs(got - direct).max() < 0.02 * np.abs(path.numpy()).max()


def test_load_ema_puts_the_average_into_the_model(tmp_path):
    ema, model = run(walk(), tmp_path), nn.Linear(5, 1, bias=False)
    for index, sigma_rel in enumerate((0.05, 0.1)):  # of a tracked width: the tracked one
        load_ema(model, tmp_path, sigma_rel)
        tracked = ema.tensors()[f"{index}.weight"]
        torch.testing.assert_close(model.weight.data, tracked, atol=1e-5, rtol=0)
    with pytest.raises(CheckpointError, match="other weights"):
        load_ema(nn.Linear(5, 1), tmp_path, 0.1)
    with pytest.raises(CheckpointError, match="holds no averaged weights"):
        _synthesize(tmp_path / "empty", 0.1)
