"""How far sound is out of tune."""

import torch
from jaxtyping import Float
from torch import Tensor

LOWEST_HZ, HIGHEST_HZ = 100, 2_000
FRAME_S, PADDING = 0.256, 4  # so that a bin is a hertz wide
SOUNDING = 0.1  # of a clip's loudest partial; what is softer is not counted


def cents_off_scale(waves: Float[Tensor, "B C S"], sample_rate_hz: int) -> float:
    """Median distance of the strongest partial from the tempered scale on A = 440 Hz.

    Over all frames of all clips, in cents; pitches drawn at random would give 25.
    """
    n_frame = round(FRAME_S * sample_rate_hz)
    n_fft = PADDING * n_frame
    window = torch.hann_window(n_frame)
    spectrum = torch.stft(
        waves.mean(dim=1), n_fft, n_frame, n_frame, window, return_complex=True
    ).abs()
    first, last = (round(hz * n_fft / sample_rate_hz) for hz in (LOWEST_HZ, HIGHEST_HZ))
    strength, place = spectrum[:, first:last].max(dim=1)
    sounding = strength > SOUNDING * strength.amax(dim=1, keepdim=True)
    hertz = (place[sounding] + first) * (sample_rate_hz / n_fft)
    keys = 12 * torch.log2(hertz / 440)
    return float(100 * (keys - keys.round()).abs().median())
