from dataclasses import replace

import pytest
import torch
from toy_networks import N_SAMPLES, RATE_HZ, BrokenCodec, ToyBackbone, ToySeparator, ToyStudio
from training_toys import awake, tiny_model, tiny_set

from attm_core.backbone.config import Conditions
from attm_core.configuration import GenerationConfig
from attm_core.errors import ConfigError, InputError
from attm_core.generation.loudness import integrated_loudness
from attm_core.generation.pipeline import generate, generate_latents, postprocess
from attm_core.generation.sampler import initial_noise, prompt_seeds

CONFIG = GenerationConfig(s=5.0, w=4.0, n_steps=3, batch_size=2, prefix="good music, ")
PLAIN = CONFIG.without_postprocessing()


def made(*prompts: str, studio=None, config=CONFIG, seed=42):
    studio = studio or ToyStudio()
    seeds = prompt_seeds(seed, len(prompts))
    return generate(studio.backbone, prompts, config, studio.networks(), seeds)


def test_each_prompt_becomes_one_finished_clip():
    studio = ToyStudio()
    clips = made("calm", "fast", "calm", studio=studio)
    assert clips.prompts == ("calm", "fast", "calm")
    assert clips.seeds == (42, 43, 44)
    assert studio.texts == [["good music, calm", "good music, fast"]]  # each text once
    assert clips.waves.shape == (3, 1, N_SAMPLES)
    assert clips.latents.shape == (3, 4, 2)
    for wave, report in zip(clips.waves, clips.loudness, strict=True):
        assert integrated_loudness(wave, RATE_HZ) == pytest.approx(-16.5, abs=0.1)
        assert report.after_lufs == pytest.approx(-16.5, abs=0.1)
    assert set(studio.backbone.scores) == {5.0}


def test_a_clip_does_not_depend_on_the_prompts_beside_it():
    alone = made("fast", seed=43).waves[0]
    beside = made("calm", "fast", "odd").waves[1]
    assert torch.allclose(alone, beside, atol=1e-5)
    assert not torch.allclose(alone, made("fast", seed=44).waves[0], atol=1e-2)


def test_without_post_processing_the_codec_has_the_last_word():
    studio = ToyStudio()
    clips = made("calm", studio=studio, config=PLAIN)
    assert clips.loudness == (None,)
    assert studio.separator.calls == 0
    assert torch.equal(clips.waves, studio.codec.decode(clips.latents))


def test_a_negative_prompt_replaces_the_null_text():
    studio = ToyStudio()
    pushed = made("calm", studio=studio, config=replace(PLAIN, negative_prompt="x" * 300))
    assert studio.texts[-1] == ["x" * 300]
    assert not torch.allclose(made("calm", config=PLAIN).waves, pushed.waves, atol=1e-2)


def test_prompts_and_seeds_go_in_pairs_and_clips_are_numbers():
    with pytest.raises(InputError, match="NaN or infinite samples"):
        made("calm", studio=ToyStudio(BrokenCodec()))
    with pytest.raises(InputError, match="a prompt is empty"):
        made("calm", " ")
    studio = ToyStudio()
    for prompts, seeds in (((), ()), (("calm",), (1, 2))):
        with pytest.raises(InputError, match="a seed for each"):
            generate(studio.backbone, prompts, CONFIG, studio.networks(), seeds)
    for seed in (-1, 2**63):
        with pytest.raises(InputError, match=f"seed {seed} is not in 0"):
            prompt_seeds(seed, 1)


class Gaussian(ToyBackbone):
    """Exact velocity of flows whose data are one point per prompt: v = (x_t − x_0)/t."""

    def velocity(self, x_t, t, given, s):
        point = given.pooled[:, None, :] + (0 if s is None else s[:, None, None])
        return (x_t.repeat(len(given) // len(x_t), 1, 1) - point) / t[:, None, None]

    def null_conditions(self, batch):
        return Conditions(torch.zeros(batch, 1, 1), torch.zeros(batch, 3))

    def unnormalize(self, latents):
        return 10 * latents


def texts(n: int) -> Conditions:
    return Conditions(torch.zeros(n, 1, 1), torch.arange(float(n))[:, None].expand(n, 3))


NOISE = initial_noise(prompt_seeds(42, 5), (4, 3))


@pytest.mark.parametrize(("w_score", "reached"), [(None, 4 * 0.5), (4.0, 4 * 0.5), (2.0, 1.0)])
@pytest.mark.parametrize("batch_size", [2, 5])
def test_latents_reach_the_point_that_guidance_asks_for(w_score, reached, batch_size):
    # With v_c − v_∅ = −(c + s)/t the guided flow ends at w·c + w_score·s; 10 is the latent scale.
    config = GenerationConfig(s=0.5, w=4.0, w_score=w_score, n_steps=5, batch_size=batch_size)
    latents = generate_latents(Gaussian(), texts(5), config, NOISE)
    expected = 10 * (4 * texts(5).pooled + reached)
    torch.testing.assert_close(latents, expected[:, None, :].expand(5, 4, 3))


def test_latents_can_be_trained_on_and_sizes_must_fit():
    latents = generate_latents(Gaussian(), texts(5), GenerationConfig(n_steps=2), NOISE)
    weight = torch.ones(3, requires_grad=True)
    (latents * weight).sum().backward()
    assert weight.grad is not None
    with pytest.raises(InputError, match="conditions hold 4 prompts but noise 5"):
        generate_latents(Gaussian(), texts(4), GenerationConfig(), NOISE)


def test_the_real_backbone_by_separate_branches():
    model, text = awake(tiny_model("input_add")), tiny_set(5).conditions(torch.arange(5))
    drawn = generate_latents(model, text, GenerationConfig(s=2.0, n_steps=2, batch_size=3), NOISE)
    x, s = NOISE, torch.full((5,), 2.0)
    for t in (1.0, 0.5):  # two guided Euler steps, each branch on its own
        times = torch.full((5,), t)
        v_null = model(x, times, model.null_conditions(5), 0 * s)
        x = x - 0.5 * (v_null + 4.0 * (model(x, times, text, s) - v_null))
    torch.testing.assert_close(drawn, x.detach(), atol=1e-4, rtol=1e-4)


def tones(n: int = 5) -> torch.Tensor:
    tone = torch.sin(2 * torch.pi * 500 * torch.arange(RATE_HZ) / RATE_HZ)
    return 0.05 * torch.arange(1.0, n + 1)[:, None, None] * tone


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 2 * RATE_HZ])
def test_separation_runs_at_the_separator_s_rate(rate_hz):
    separator = ToySeparator()
    separator.sample_rate_hz = rate_hz
    left, reports = postprocess(tones(), RATE_HZ, separator, GenerationConfig(target_lufs=None))
    assert separator.lengths == {rate_hz}
    assert reports == [None] * 5
    found, wanted = (waves[..., 200:-200] for waves in (left, tones() * 0.5**3))
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-2)


def test_a_silent_clip_stays_silent_among_others_and_the_impossible_is_refused():
    waves = tones(3)
    waves[1] = 0
    done, reports = postprocess(waves, RATE_HZ, ToySeparator(), GenerationConfig())
    assert [report.outcome for report in reports] == ["normalized", "silent", "normalized"]
    assert done[1].abs().max() == 0
    with pytest.raises(ConfigError, match="needs a separator"):
        postprocess(tones(), RATE_HZ, None, GenerationConfig())
    with pytest.raises(InputError, match=r"clips \[0, 1, 2, 3\] hold NaN"):
        postprocess(tones() * torch.inf, RATE_HZ, ToySeparator(), GenerationConfig())
