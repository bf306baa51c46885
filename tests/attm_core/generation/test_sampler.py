import pytest
import torch

from attm_core.generation.sampler import euler_sample, initial_noise, prompt_seeds

NOISE = initial_noise(prompt_seeds(42, 5), (4, 3))


def test_two_euler_steps_by_hand() -> None:
    # v = t·x from x_1 = 1: x_½ = 1 − ½·1·1 = ½, x_0 = ½ − ½·½·½ = 3/8.
    result = euler_sample(lambda x, t: t * x, torch.ones(1, 1, 1), 2)
    assert result.item() == pytest.approx(0.375)
    x_0, x_1 = NOISE[:2], NOISE[2:4]  # straight paths are exact in any number of steps
    for n_steps in (1, 7, 25):
        torch.testing.assert_close(euler_sample(lambda x, t: x_1 - x_0, x_1, n_steps), x_0)
    seen: list[tuple[int, float]] = []
    euler_sample(lambda x, t: x, NOISE, 4, lambda i, t, x: seen.append((i, t)))
    assert seen == [(0, 1.0), (1, 0.75), (2, 0.5), (3, 0.25), (4, 0.0)]


def test_noise_of_a_prompt_does_not_depend_on_the_batch() -> None:
    torch.testing.assert_close(initial_noise([44], (4, 3))[0], NOISE[2], rtol=0, atol=0)
    shared = initial_noise(prompt_seeds(42, 3, one_seed=True), (4, 3))
    assert torch.equal(shared[0], shared[2])
    assert not torch.equal(NOISE[0], NOISE[1])
    assert initial_noise([], (4, 3)).shape == (0, 4, 3)
    noise = initial_noise(prompt_seeds(0, 100), (32, 16))
    assert (noise.mean().item(), noise.std().item()) == pytest.approx((0, 1), abs=0.01)
