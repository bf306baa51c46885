from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attm_core.backbone.flux_audio import Conditions, FluxAudio, FluxAudioConfig

SMALL = FluxAudioConfig(
    n_channels=4, n_latents=9, n_tokens=5, token_width=12, pooled_width=10,
    width=16, n_heads=2, n_joint=2, n_fused=1, ffn_multiple=16, score_features=16,
)  # fmt: skip


@pytest.fixture
def small() -> FluxAudioConfig:
    return SMALL


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def _randomise(model: FluxAudio, seed: int = 3, keep: str = "\n") -> FluxAudio:
    """Random values for every parameter whose name does not contain ``keep``."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
            values = torch.randn(parameter.shape, generator=generator) / fan_in**0.5
            if keep not in name:
                parameter.copy_(values)
        model.latent_std.abs_().add_(0.1)
    return model


@pytest.fixture
def randomise() -> Callable[..., FluxAudio]:
    return _randomise


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, Conditions]:
    """x_t, t and conditions for three rows of the ``small`` sizes."""
    generator = torch.Generator().manual_seed(11)
    x_t = torch.randn(3, 9, 4, generator=generator)
    tokens = torch.randn(3, 5, 12, generator=generator)
    pooled = torch.randn(3, 10, generator=generator)
    return x_t, torch.tensor([0.1, 0.5, 0.9]), Conditions(tokens, pooled)
