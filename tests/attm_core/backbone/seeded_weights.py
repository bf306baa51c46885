"""Weights and inputs from a formula, the same for the reference and for us."""

import numpy as np
import torch
from vae_weights import chirp

from attm_core.backbone.config import FluxAudioConfig
from attm_core.backbone.flux_audio import FluxAudio

TINY = {
    "n_channels": 4, "n_latents": 9, "n_tokens": 5, "token_width": 12, "pooled_width": 10,
    "width": 16, "n_heads": 2, "n_joint": 2, "n_fused": 1, "ffn_multiple": 256,
}  # fmt: skip


SMALL = FluxAudioConfig(**TINY | {"ffn_multiple": 16, "score_features": 16})


def random_model(head="none"):
    """Of the ``SMALL`` sizes, with random values for every parameter."""
    generator = torch.Generator().manual_seed(7)
    model = FluxAudio(SMALL.with_head(head), generator)
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
        model.latent_std.abs_().add_(0.1)
    return model


def formula_weights(state):
    """Every entry of a state dict, in order of its name, scaled by 1/√(fan-in)."""
    made = {}
    for rank, name in enumerate(sorted(state)):
        shape = tuple(state[name].shape)
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 4
        made[name] = chirp(shape, phase=rank) / fan_in**0.5
    return made


def tiny_inputs():
    """x_t, t and text features for two rows of the TINY sizes."""
    return {
        "x_t": chirp((2, 9, 4), 0.1),
        "t": torch.tensor([0.25, 0.9]),
        "tokens": chirp((2, 5, 12), 0.2),
        "pooled": chirp((2, 10), 0.3),
    }
