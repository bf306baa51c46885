import math

import pytest
import torch
from seeded_weights import SMALL, random_model

from attm_core.backbone.flux_audio import FluxAudio
from attm_core.backbone.score_heads import fourier_frequencies
from attm_core.constants import HEADS

SCORES = torch.tensor([-1.0, 0.7, 5.0])


@pytest.mark.parametrize("head", HEADS.values())
def test_heads_start_independent_of_the_score_and_most_as_the_model_without(head, inputs):
    plain, model = random_model(), FluxAudio(SMALL.with_head(head), torch.Generator())
    loaded = model.load_state_dict(plain.state_dict(), strict=False)
    assert not loaded.unexpected_keys
    assert all(key.startswith("score_") for key in loaded.missing_keys)
    assert torch.equal(model(*inputs, SCORES), model(*inputs))
    # A zero token that is prepended still takes attention.
    assert torch.equal(model(*inputs), plain(*inputs)) != head.endswith("_prepend")


@pytest.mark.parametrize("head", HEADS.values())
def test_trained_heads_answer_to_the_score_row_by_row(head, inputs):
    model = random_model(head)
    changed = model(*inputs, SCORES) - model(*inputs, SCORES + torch.tensor([0.0, 1.0, 0.0]))
    assert changed[1].abs().max() > 1e-3
    assert not changed[0].any()
    assert torch.equal(model(*inputs), model(*inputs, torch.zeros(3))), "the null score is 0"
    assert model.score_embed(torch.zeros(1)).any(), "Fourier(0) is not a zero embedding"


def test_input_add_is_a_shift_of_every_audio_token(inputs):
    model = random_model("input_add")
    x_t, t, conditions = inputs
    projected = model.project(conditions)
    shift = model._enter(x_t, t, projected, SCORES).audio - model.audio_input_proj(x_t)
    e_s = model.score_embed(SCORES)
    assert torch.allclose(shift, e_s[:, None].expand_as(shift), atol=1e-5)


def test_frequencies_are_half_normal_quantiles():
    frequencies = fourier_frequencies(128, 0.5)
    assert torch.equal(frequencies, fourier_frequencies(128, 0.5)), "no randomness"
    assert torch.all(frequencies.diff() > 0)
    # The quartiles of |N(0, σ²)| are 0.3186 σ and 1.1503 σ.
    assert frequencies[31:33].mean() == pytest.approx(0.5 * 0.3186, abs=1e-3)
    assert frequencies[95:97].mean() == pytest.approx(0.5 * 1.1503, abs=2e-3)


@pytest.mark.parametrize("bandwidth", [0.25, 0.5, 1.0])
def test_feature_correlation_falls_off_as_the_bandwidth_says(bandwidth):
    def features(s: float) -> torch.Tensor:
        angle = s * fourier_frequencies(2048, bandwidth)
        return torch.cat([angle.cos(), angle.sin()])

    correlation = torch.cosine_similarity(features(5.0), features(2.76), dim=0)
    wanted = math.exp(-0.5 * (bandwidth * 2.24) ** 2)
    assert correlation == pytest.approx(wanted, abs=5e-3)
