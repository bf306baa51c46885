"""BigVGAN v2, the vocoder of the paper's codec (Section III-A), from the ``bigvgan`` package.

Read from a local folder laid out as on the hub (``nvidia/bigvgan_v2_44khz_128band_512x``):
``config.json`` and ``bigvgan_generator.pt``.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Generator, nn

from attm_core.codec.mel import MelConfig
from attm_core.errors import CheckpointError, InputError
from attm_core.files import read_json
from attm_core.weights import build, read_state_dict, require_fit

_CONFIG_FILE = "config.json"
_WEIGHTS_FILE = "bigvgan_generator.pt"
_STATE_KEY = "generator"
# What ``config.json`` of nvidia/bigvgan_v2_44khz_128band_512x says of the generator.
BIGVGAN_V2_44K: Mapping[str, Any] = {
    "resblock": "1",
    "num_mels": 128,
    "upsample_rates": [8, 4, 2, 2, 2, 2],
    "upsample_kernel_sizes": [16, 8, 4, 4, 4, 4],
    "upsample_initial_channel": 1536,
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
    "activation": "snakebeta",
    "snake_logscale": True,
    "sampling_rate": 44_100,
    "hop_size": 512,
}
_RANDOM_RESIDUAL_GAIN = 0.3
_RANDOM_OUTPUT_GAIN = 0.005


def load_bigvgan(folder: Path, mel: MelConfig | None = None) -> nn.Module:
    """The generator for inference, weight norm removed: log-mel (B, M, L) → waves (B, 1, L·hop).

    Its output is within ±1. ``folder`` holds ``config.json`` and ``bigvgan_generator.pt``; nothing
    is downloaded or compiled, and no code of the file can run. ``mel`` is the spectrogram that it
    has to accept; None accepts any.

    Raises:
        CheckpointError: a file is missing, corrupt, or truncated; the configuration is not
            BigVGAN's or is of another spectrogram; weights do not fit it or hold NaN.
    """
    folder = Path(folder)
    source, path = folder / _CONFIG_FILE, folder / _WEIGHTS_FILE
    try:
        settings = read_json(source)
    except InputError as error:
        raise CheckpointError(f"{error}; fetch the vocoder again") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{source} is not a JSON object; fetch the vocoder again")
    if mel is not None:  # the vocoder must invert exactly what the VAE decodes to
        wanted = {"sampling_rate": mel.sample_rate_hz, "num_mels": mel.n_mels, "hop_size": mel.hop}
        found = {name: settings.get(name) for name in wanted}
        if found != wanted:
            raise CheckpointError(f"{source} is of another spectrogram: {found}, wanted {wanted}")
        rates = settings.get("upsample_rates")
        if not isinstance(rates, list) or math.prod(rates) != mel.hop:
            raise CheckpointError(f"{source}: upsample_rates {rates} do not multiply to {mel.hop}")
    tensors = read_state_dict(path, inner_key=_STATE_KEY)
    vocoder = _make_bigvgan(settings, source)
    normed = any(name.endswith(".weight_g") for name in tensors)
    if not normed:
        _remove_weight_norm(vocoder)
    require_fit(vocoder.state_dict(), tensors, str(path))
    vocoder.load_state_dict(tensors)
    if normed:
        _remove_weight_norm(vocoder)
    return vocoder.eval().requires_grad_(False)


def _make_bigvgan(settings: Mapping[str, Any], source: Path | str = "settings") -> nn.Module:
    """An untrained generator of the package's class, with weight norm and arbitrary weights."""
    from bigvgan.bigvgan import BigVGAN
    from bigvgan.env import AttrDict

    try:
        with _quiet():
            made: nn.Module = build(lambda: BigVGAN(AttrDict(settings), use_cuda_kernel=False))
            return made
    except (AttributeError, KeyError, TypeError, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{source} is not a configuration of BigVGAN: {error!r}") from error


def random_bigvgan(settings: Mapping[str, Any], generator: Generator) -> nn.Module:
    """An untrained generator for inference: normal weights by fan-in, no weight norm.

    Raises:
        CheckpointError: the settings are not those of a BigVGAN generator.
    """
    vocoder: Any = build(lambda: _remove_weight_norm(_make_bigvgan(settings)), generator)
    # He-normal residual blocks multiply their input; scaled down, noise stays well within ±1.
    with torch.no_grad():
        for name, parameter in vocoder.resblocks.named_parameters():
            if ".convs" in name:
                parameter.mul_(_RANDOM_RESIDUAL_GAIN)
        vocoder.conv_post.weight.mul_(_RANDOM_OUTPUT_GAIN)
    made: nn.Module = vocoder.eval().requires_grad_(False)
    return made


def _remove_weight_norm(vocoder: nn.Module) -> nn.Module:
    """Fold the weight norm of a BigVGAN into plain weights, in place."""
    method: Any = vocoder.remove_weight_norm
    with _quiet():
        method()
    return vocoder


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The package prints, and uses PyTorch's older weight norm, which warns."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.filterwarnings("ignore", message=".*weight_norm.*", category=FutureWarning)
        yield
