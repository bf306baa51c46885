"""A small BigVGAN of the real class with the real spectrogram, rates and options."""

from typing import Any

TINY_BIGVGAN: dict[str, Any] = {
    "resblock": "1",
    "num_mels": 128,
    "upsample_rates": [8, 4, 2, 2, 2, 2],
    "upsample_kernel_sizes": [16, 8, 4, 4, 4, 4],
    "upsample_initial_channel": 64,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
    "activation": "snakebeta",
    "snake_logscale": True,
    "sampling_rate": 44_100,
    "hop_size": 512,
}
