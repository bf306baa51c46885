import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from attm_core.errors import ConfigError, InputError
from attm_core.generation.sampler import (
    GenerationConfig,
    euler_sample,
    generate_latents,
    initial_noise,
    prompt_seeds,
    sigmas,
)


@dataclass(frozen=True)
class Text:
    tokens: Tensor
    pooled: Tensor


class Gaussian:
    """Exact velocity of flows whose data are one point a prompt: v = (x_t − x_0)/t."""

    def __init__(self) -> None:
        self.dtypes: set[torch.dtype] = set()

    def project(self, conditions: Text) -> Text:
        return conditions

    def velocity(self, x_t: Tensor, t: Tensor, conditions: Text, s: Tensor | None) -> Tensor:
        self.dtypes.add((x_t @ torch.ones(x_t.shape[-1], 1)).dtype)
        point = conditions.pooled[:, None, :] + (0 if s is None else s[:, None, None])
        return (x_t - point) / t[:, None, None]

    def null_conditions(self, batch: int) -> Text:
        return Text(torch.zeros(batch, 1, 1), torch.zeros(batch, 3))

    def unnormalize(self, latents: Tensor) -> Tensor:
        return 10 * latents


def prompts(n: int) -> Text:
    return Text(torch.zeros(n, 1, 1), torch.arange(float(n))[:, None].expand(n, 3))


NOISE = initial_noise(prompt_seeds(42, 5), (4, 3))


def test_schedule_by_hand() -> None:
    assert sigmas(25)[:3] == pytest.approx([1.0, 0.96, 0.92])
    assert sigmas(25)[-1] == 0.0
    assert len(sigmas(25)) == 26


def test_two_euler_steps_by_hand() -> None:
    # v = t·x from x_1 = 1: x_½ = 1 − ½·1·1 = ½, x_0 = ½ − ½·½·½ = 3/8.
    result = euler_sample(lambda x, t: t * x, torch.ones(1, 1, 1), 2)
    assert result.item() == pytest.approx(0.375)


def test_straight_paths_are_exact_in_any_number_of_steps() -> None:
    x_0 = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1))
    x_1 = NOISE[:2]
    for n_steps in (1, 7, 25):
        torch.testing.assert_close(euler_sample(lambda x, t: x_1 - x_0, x_1, n_steps), x_0)


def test_error_falls_as_the_first_power_of_the_step() -> None:
    def error(n_steps: int) -> float:
        result = euler_sample(lambda x, t: x, torch.ones(1, 1, 1, dtype=torch.float64), n_steps)
        return abs(result.item() - math.exp(-1))

    assert error(50) / error(100) == pytest.approx(2.0, rel=0.05)


def test_on_step_sees_the_whole_trajectory() -> None:
    seen: list[tuple[int, float]] = []
    euler_sample(lambda x, t: x, NOISE, 4, lambda i, t, x: seen.append((i, t)))
    assert seen == [(0, 1.0), (1, 0.75), (2, 0.5), (3, 0.25), (4, 0.0)]


def test_noise_of_a_prompt_does_not_depend_on_the_batch() -> None:
    torch.testing.assert_close(initial_noise([44], (4, 3))[0], NOISE[2], rtol=0, atol=0)
    shared = initial_noise(prompt_seeds(42, 3, one_seed=True), (4, 3))
    assert torch.equal(shared[0], shared[2])
    assert not torch.equal(NOISE[0], NOISE[1])
    assert initial_noise([], (4, 3)).shape == (0, 4, 3)


def test_noise_is_standard_normal() -> None:
    noise = initial_noise(prompt_seeds(0, 100), (32, 16))
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert noise.std().item() == pytest.approx(1, abs=0.01)


def test_generate_reaches_the_point_that_guidance_asks_for() -> None:
    # With v_c − v_∅ = −(c + s)/t the guided flow ends at w·(c + s); 10 is the latent scale.
    config = GenerationConfig(s=0.5, w=4.0, n_steps=5, batch_size=2)
    latents = generate_latents(Gaussian(), prompts(5), config, NOISE)
    expected = 10 * 4 * (prompts(5).pooled + 0.5)
    torch.testing.assert_close(latents, expected[:, None, :].expand(5, 4, 3))


def test_batch_size_does_not_change_the_latents() -> None:
    first, second = (
        generate_latents(Gaussian(), prompts(5), GenerationConfig(batch_size=size), NOISE)
        for size in (1, 5)
    )
    torch.testing.assert_close(first, second)


def test_negative_prompt_takes_the_place_of_the_null() -> None:
    config = GenerationConfig(s=None, w=2.0, n_steps=3)
    ones = Text(torch.ones(5, 1, 1), torch.ones(5, 3))
    latents = generate_latents(Gaussian(), prompts(5), config, NOISE, negative=ones)
    torch.testing.assert_close(latents[:, 0], 10 * (2 * prompts(5).pooled - 1))


def test_bf16_keeps_the_state_in_float32(processor) -> None:
    processor(avx512_bf16=True)
    model = Gaussian()
    latents = generate_latents(model, prompts(5), GenerationConfig(bf16=True), NOISE)
    assert model.dtypes == {torch.bfloat16}
    assert latents.dtype == torch.float32


def test_result_can_be_trained_on() -> None:
    latents = generate_latents(Gaussian(), prompts(5), GenerationConfig(n_steps=2), NOISE)
    weight = torch.ones(3, requires_grad=True)
    (latents * weight).sum().backward()
    assert weight.grad is not None


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        GenerationConfig(n_steps=0)
    with pytest.raises(InputError, match="conditions hold 4 prompts but noise 5"):
        generate_latents(Gaussian(), prompts(4), GenerationConfig(), NOISE)


def test_the_real_backbone_meets_the_interface() -> None:
    from attm_core.backbone.config import Conditions, FluxAudioConfig
    from attm_core.backbone.flux_audio import FluxAudio

    config = FluxAudioConfig.mini(width=16, n_heads=2, n_latents=4, n_channels=3, n_tokens=2)
    config = replace(config, token_width=5, pooled_width=6, score_head="input_add")
    generator = torch.Generator().manual_seed(0)
    model = FluxAudio(config, generator).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    model.set_latent_statistics(torch.zeros(3), torch.ones(3))
    model.set_null_text(torch.randn(2, 5, generator=generator), torch.zeros(6))
    text = Conditions(torch.randn(5, 2, 5, generator=generator), torch.ones(5, 6))
    drawn = generate_latents(model, text, GenerationConfig(s=2.0, n_steps=2, batch_size=3), NOISE)
    x, s = NOISE, torch.full((5,), 2.0)
    for t in (1.0, 0.5):  # two guided Euler steps, each branch on its own
        times = torch.full((5,), t)
        v_null = model(x, times, model.null_conditions(5), 0 * s)
        x = x - 0.5 * (v_null + 4.0 * (model(x, times, text, s) - v_null))
    torch.testing.assert_close(drawn, x.detach(), atol=1e-4, rtol=1e-4)
