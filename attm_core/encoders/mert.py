"""Features of MERT-v1-330M (Section III-C; Li et al. 2023): mean of the last layer over time.

The model's page on the hub asks for its own code to be run. None is needed: without its optional
constant-Q input and deep normalisation, both off in the published configuration, MERT is HuBERT
with a 24-kHz input, and its weights bear HuBERT's names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.assets import require_files
from attm_core.audio import resampled_rows
from attm_core.errors import CheckpointError, InputError
from attm_core.files import read_json
from attm_core.weights import build, load_strictly, read_state_dict

_ASSET = "mert"
_WEIGHTS = "pytorch_model.bin"
_FILES = (_WEIGHTS, "config.json", "preprocessor_config.json")
_SAMPLE_RATE_HZ = 24_000
_SEGMENT_S = 300
_SHORTEST_SEGMENT_S = 1
_CHUNK_S = 80  # audio in one forward pass
_VARIANCE_FLOOR = 1e-7  # that of transformers' Wav2Vec2FeatureExtractor
_UNSUPPORTED = ("feature_extractor_cqt", "deepnorm")
# Training alone masks: without it HuBERT has no vector for masked frames, and the file's is unused.
NO_MASKING = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}
_MASK_VECTOR = "masked_spec_embed"
# Weight normalisation of the positional convolution: names before and since PyTorch 2.
_RENAMED = {
    ".conv.weight_g": ".conv.parametrizations.weight.original0",
    ".conv.weight_v": ".conv.parametrizations.weight.original1",
}


class Mert:
    """A frozen ``AudioEncoder``: a ``HubertModel`` that reads 24 kHz.

    ``normalizes`` brings each segment to zero mean and unit variance first.
    """

    def __init__(self, model: Any, normalizes: bool = False) -> None:
        self.width = int(model.config.hidden_size)
        self.normalizes = normalizes
        self._model = model.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path | None = None, device: str | torch.device = "cpu") -> Mert:
        """Read ``m-a-p/MERT-v1-330M`` as published; no code of its repository is run.

        ``folder`` holds the pickled weights and two configurations; the asset's folder if None.

        Raises:
            AssetError: a file is missing.
            CheckpointError: corrupt or non-finite weights, a pickle that holds code, weights of
                another configuration, or a variant that HuBERT's classes do not cover.
            InputError: malformed JSON.
        """
        folder = require_files(_ASSET, _FILES, folder)
        processor = read_json(folder / "preprocessor_config.json")
        if processor.get("sampling_rate") != _SAMPLE_RATE_HZ:
            raise CheckpointError(f"{folder} is a model for {processor.get('sampling_rate')} Hz")
        return cls(_load_model(folder).to(device), bool(processor.get("do_normalize", True)))

    @torch.no_grad()
    def embed_audio(
        self, waves: Float[Tensor, "B C S"], sample_rate_hz: int
    ) -> Float[Tensor, "B width"]:
        """Means over time of the last hidden states (B, 1024), on the CPU, not normalised.

        Audio beyond 300 s is read in segments, each weighted by its number of frames.

        Raises:
            InputError: not (B, C, S), NaN, or shorter than one frame (400 samples at 24 kHz).
        """
        rows = resampled_rows(waves, sample_rate_hz, _SAMPLE_RATE_HZ)
        config, n_frames = self._model.config, rows.shape[1]
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            n_frames = (n_frames - kernel) // stride + 1
        if n_frames < 1:
            raise InputError(f"{rows.shape[1]} samples at 24 kHz are too short for MERT")
        at_once = max(1, _CHUNK_S * _SAMPLE_RATE_HZ // rows.shape[1])
        means = [self._mean_states(chunk) for chunk in rows.split(at_once) if len(chunk)]
        return torch.cat(means) if means else torch.zeros(0, self.width)

    def _mean_states(self, waves: Tensor) -> Tensor:
        total, n_frames = torch.zeros(len(waves), self.width, dtype=torch.float64), 0
        for start, end in _segment_bounds(waves.shape[1]):
            part = waves[:, start:end]
            part = _standardize(part) if self.normalizes else part
            states = self._model(part.to(self._model.device)).last_hidden_state
            total += states.sum(dim=1, dtype=torch.float64).cpu()
            n_frames += states.shape[1]
        return (total / n_frames).float()


def _standardize(waves: Float[Tensor, "B S"]) -> Float[Tensor, "B S"]:
    """Zero mean and unit variance; of little matter: a group norm follows the first convolution."""
    mean = waves.mean(dim=1, keepdim=True)
    variance = waves.var(dim=1, keepdim=True, unbiased=False)
    return (waves - mean) / (variance + _VARIANCE_FLOOR).sqrt()


def _segment_bounds(n_samples: int) -> list[tuple[int, int]]:
    """Consecutive 300-s segments; a last one below 1 s joins the one before it."""
    size = _SEGMENT_S * _SAMPLE_RATE_HZ
    starts = list(range(0, n_samples, size))
    if len(starts) > 1 and n_samples - starts[-1] < _SHORTEST_SEGMENT_S * _SAMPLE_RATE_HZ:
        starts.pop()
    return list(zip(starts, [*starts[1:], n_samples], strict=True))


def _load_model(folder: Path) -> Any:
    from transformers import HubertModel

    config = _hubert_config(folder / "config.json")
    tensors = read_state_dict(folder / _WEIGHTS)
    tensors.pop(_MASK_VECTOR, None)
    for old, new in _RENAMED.items():
        tensors = {name.replace(old, new): tensor for name, tensor in tensors.items()}
    model = build(lambda: HubertModel(config))
    load_strictly(model, tensors, folder / _WEIGHTS)
    return model


def _hubert_config(path: Path) -> Any:
    """HuBERT's configuration from MERT's ``config.json``; what only MERT's code reads is checked.

    ``attention_relax`` matters in the ``deepnorm`` layers only.
    """
    from transformers import HubertConfig

    stated = read_json(path)
    if active := [name for name in _UNSUPPORTED if stated.get(name)]:
        raise CheckpointError(f"{path}: {', '.join(active)} would need code outside transformers")
    known = HubertConfig().to_dict().keys() - {"model_type", "architectures", "auto_map"}
    shared = {name: value for name, value in stated.items() if name in known}
    return HubertConfig(**shared | NO_MASKING)
