"""A small BigVGAN of the real class with the real spectrogram, rates and options."""

from typing import Any

from attm_core.codec.bigvgan_vocoder import BIGVGAN_V2_44K

TINY_BIGVGAN: dict[str, Any] = {
    **BIGVGAN_V2_44K,
    "upsample_initial_channel": 64,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
}
