"""A tiny mel VAE, its weights and inputs from a formula, the same for the reference and for us."""

from typing import Any

import numpy as np
import torch

from attm_core.codec.bigvgan_vocoder import BIGVGAN_V2_44K
from attm_core.configuration import MMAudioVAEConfig

TINY = MMAudioVAEConfig(n_mels=128, n_channels=3, width=8)
# A small BigVGAN of the real class with the real spectrogram, rates and options.
TINY_BIGVGAN: dict[str, Any] = BIGVGAN_V2_44K | {
    "upsample_initial_channel": 64,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
}


def chirp(shape, phase):
    """√2·sin of a quadratic chirp over the flat index: unit variance, no two entries alike."""
    index = np.arange(int(np.prod(shape)), dtype=np.float64)
    values = np.sqrt(2.0) * np.sin(phase + 1.7 * index + 0.01 * index**2)
    return torch.from_numpy(values.reshape(shape)).float()


def formula_state(shapes):
    """Every entry of a state dict, in order of its name; weights of several magnitudes."""
    made = {}
    for rank, name in enumerate(sorted(shapes)):
        value = chirp(tuple(shapes[name].shape), phase=rank)
        made[name] = value * (1.0 + rank % 5) if value.ndim == 3 else 0.3 * value
    made["data_mean"] = -4.0 + 0.5 * made["data_mean"]
    made["data_std"] = 2.0 + 0.1 * made["data_std"]
    return made


def tiny_mel():
    """Log-mel (2, 128, 12)."""
    return -4.0 + 2.0 * chirp((2, 128, 12), 0.4)


def tiny_latents():
    """Latents (2, 3, 6)."""
    return chirp((2, 3, 6), 0.7)
