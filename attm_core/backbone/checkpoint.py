"""Weights of FluxAudio on disk, and the cross-load between v1 and v2 (Section III-D, IV-B).

Our own files are safetensors with the configuration as JSON in the metadata. The authors' files
are pickled state dicts; they are read with ``weights_only=True``, so no code in them can run.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from attm_core.backbone.config import FluxAudioConfig
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.backbone.score_heads import HeadName
from attm_core.errors import CheckpointError, ConfigError
from attm_core.files import load_tensors, save_tensors

FORMAT = "attm-flux-audio-1"

# The reference's loader drops these: tables that it rebuilds.
REBUILT = ("t_embed.freqs", "latent_rot", "text_rot")

# PAPER-SILENT: the code of the score head is unpublished, so the names of its five keys are not
# known. Every spelling seen or likely, → ours. Extend this table when the real file is at hand.
SCORE_KEYS: Mapping[str, str] = {
    "score_embed.freqs": "score_embed.freqs",
    "score_embed.frequencies": "score_embed.freqs",
    "score_embed.fourier.freqs": "score_embed.freqs",
    "score_embed.fourier.weight": "score_embed.freqs",
    "score_embed.B": "score_embed.freqs",
    "score_embed.W": "score_embed.freqs",
    **{
        f"{prefix}.{layer}.{part}": f"score_embed.mlp.{ours}.{part}"
        for prefix, layers in (
            ("score_embed.mlp", ("0", "2")),
            ("score_embed.proj", ("0", "2")),
            ("score_embed", ("fc1", "fc2")),
            ("score_embed", ("linear1", "linear2")),
            ("score_embed", ("linear_1", "linear_2")),
        )
        for layer, ours in zip(layers, ("0", "2"), strict=True)
        for part in ("weight", "bias")
    },
    **{
        f"score_embedder.mlp.{layer}.{part}": f"score_embed.mlp.{layer}.{part}"
        for layer in ("0", "2")
        for part in ("weight", "bias")
    },
    "score_embedder.freqs": "score_embed.freqs",
}


def save_model(model: FluxAudio, path: Path) -> Path:
    """Write weights and configuration as one safetensors file, atomically."""
    metadata = {"format": FORMAT, "config": json.dumps(asdict(model.config), sort_keys=True)}
    return save_tensors(Path(path), model.state_dict(), metadata)


def load_model(path: Path) -> FluxAudio:
    """Read a file written by :func:`save_model`.

    Raises:
        CheckpointError: the file is missing, truncated, not ours, of the wrong shape, or holds NaN.
    """
    tensors = load_tensors(Path(path))
    return _fill_model(FluxAudio(_read_config(Path(path)), _unused_generator()), tensors, str(path))


def load_reference_state_dict(
    source: Path | Mapping[str, Tensor], config: FluxAudioConfig
) -> FluxAudio:
    """A model from a state dict of the published system, strictly.

    Args:
        source: a pickled (.pth, .pt) or safetensors file, or the state dict itself.
        config: the sizes and score head it was made with.

    Raises:
        CheckpointError: the file cannot be read, holds something other than tensors, or keys,
            shapes or values do not fit ``config``.
    """
    named = isinstance(source, Mapping)
    tensors = dict(source) if isinstance(source, Mapping) else _read_tensors(Path(source))
    model = FluxAudio(config, _unused_generator())
    return _fill_model(model, canonical_keys(tensors), "the state dict" if named else str(source))


def canonical_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our key names, with the quirks of the reference's loader.

    Rebuilt tables are dropped, and a missing pooled null text becomes the mean of the null-text
    tokens. The input is not changed.
    """
    kept = {SCORE_KEYS.get(key, key): value for key, value in tensors.items() if key not in REBUILT}
    if "empty_string_feat_c" not in kept and "empty_string_feat" in kept:
        kept["empty_string_feat_c"] = kept["empty_string_feat"].mean(dim=0)
    return kept


def cross_load(model: FluxAudio, score_head: HeadName) -> FluxAudio:
    """The same weights under another score head (v1 → v2 in the paper's chain), strictly.

    Raises:
        CheckpointError: the two heads do not have the same keys (only v1 and v2 do).
    """
    # PAPER-DEVIATION: the paper loads with strict=False. v1 and v2 share all keys, so strictness
    # changes nothing for them and turns a silent partial load between other heads into an error.
    target = FluxAudio(model.config.with_head(score_head), _unused_generator())
    tensors = {key: value.detach().clone() for key, value in model.state_dict().items()}
    return _fill_model(target, tensors, f"a {model.config.score_head} model", allow_nan=True)


def _unused_generator() -> torch.Generator:
    """Initial weights that are overwritten at once still need a source."""
    return torch.Generator().manual_seed(0)


def _read_config(path: Path) -> FluxAudioConfig:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise CheckpointError(
                f"{path} is not a {FORMAT} file; for weights of the published system use "
                "load_reference_state_dict"
            )
        return FluxAudioConfig(**json.loads(metadata["config"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, ConfigError) as error:
        raise CheckpointError(f"{path} has no usable configuration: {error}") from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_tensors(path)
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} is not a plain pickled state dict ({first}); it is missing, truncated, or "
            "holds code, which is never executed. Fetch it again"
        ) from error
    return _only_tensors(loaded, path)


def _only_tensors(loaded: Any, path: Path) -> dict[str, Tensor]:
    tensors = isinstance(loaded, Mapping) and all(isinstance(v, Tensor) for v in loaded.values())
    if not tensors:
        raise CheckpointError(f"{path} holds a {type(loaded).__name__}, not a dict of tensors only")
    return dict(loaded)


def _fill_model(
    model: FluxAudio, tensors: Mapping[str, Tensor], source: str, allow_nan: bool = False
) -> FluxAudio:
    """Check keys, shapes and values, then load; nothing is loaded if anything is wrong."""
    problems = _mismatches(model.state_dict(), tensors)
    if not allow_nan:
        problems += [f"{key} holds NaN or infinity" for key in _not_finite(tensors)]
    if problems:
        shown = "; ".join(problems[:5]) + (" …" if len(problems) > 5 else "")
        raise CheckpointError(
            f"{source} does not fit FluxAudio with score head {model.config.score_head!r}, "
            f"{len(problems)} problem(s): {shown}"
        )
    model.load_state_dict(dict(tensors), strict=True)
    return model


def _mismatches(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    missing = [f"{key} is missing" for key in wanted if key not in given]
    unknown = [f"{key} is unknown" for key in given if key not in wanted]
    shapes = [
        f"{key} has shape {tuple(given[key].shape)}, wanted {tuple(wanted[key].shape)}"
        for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    return missing + unknown + shapes


def _not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Keys with NaN or infinity; unset latent statistics are NaN on purpose and stay so."""
    statistics = ("latent_mean", "latent_std")
    return [
        key
        for key, value in tensors.items()
        if key not in statistics and not bool(torch.isfinite(value).all())
    ]
