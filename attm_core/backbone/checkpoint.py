"""Weights of FluxAudio on disk, and the cross-load between v1 and v2 (Section III-D, IV-B).

Our own files are safetensors with the configuration as JSON in the metadata. The authors' files
are pickled state dicts; they are read with ``weights_only=True``, so no code in them can run.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from attm_core.backbone.config import FluxAudioConfig
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.constants import HeadName
from attm_core.errors import CheckpointError
from attm_core.files import load_tensors, read_metadata, save_tensors
from attm_core.randomness import torch_generator
from attm_core.weights import parse_config, read_state_dict, require_fit, require_sizes

_FORMAT = "attm-flux-audio-1"
_STATISTICS = ("latent_mean", "latent_std")  # NaN on purpose until they are set

# The reference's loader drops these: tables that it rebuilds.
_REBUILT = ("t_embed.freqs", "latent_rot", "text_rot")


def save_model(model: FluxAudio, path: Path) -> Path:
    """Write weights and configuration as one safetensors file, atomically."""
    metadata = {"format": _FORMAT, "config": json.dumps(asdict(model.config), sort_keys=True)}
    return save_tensors(Path(path), model.state_dict(), metadata)


def load_model(path: Path) -> FluxAudio:
    """Read a file written by :func:`save_model`.

    Raises:
        CheckpointError: the file is missing, truncated, not ours, of the wrong shape, or holds NaN.
    """
    tensors, metadata = load_tensors(Path(path)), read_metadata(path)
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(
            f"{path} is not a {_FORMAT} file; for weights of the published system use "
            "load_reference_state_dict"
        )
    config = parse_config(path, FluxAudioConfig, metadata.get("config"))
    require_sizes(asdict(config), tensors, str(path))
    return _fill_model(FluxAudio(config, torch_generator(0)), tensors, str(path))


def load_reference_state_dict(
    source: Path | Mapping[str, Tensor], config: FluxAudioConfig
) -> FluxAudio:
    """A model from a state dict of the published system, strictly.

    ``source`` is a pickled (.pth, .pt) or safetensors file, or the state dict itself, made with the
    sizes and score head of ``config``. The code of the score head is unpublished: if its five keys
    have other names than ours, the error says which; rename them in the state dict.

    Raises:
        CheckpointError: the file cannot be read, holds something other than tensors, or keys,
            shapes or values do not fit ``config``.
    """
    given = isinstance(source, Mapping)
    tensors = source if isinstance(source, Mapping) else read_state_dict(Path(source))
    kept = {key: value for key, value in tensors.items() if key not in _REBUILT}
    tokens = kept.get("empty_string_feat")
    if "empty_string_feat_c" not in kept and tokens is not None and tokens.is_floating_point():
        kept["empty_string_feat_c"] = tokens.mean(dim=0)  # as the reference's loader does
    model = FluxAudio(config, torch_generator(0))
    return _fill_model(model, kept, "the state dict" if given else str(source))


def cross_load(model: FluxAudio, score_head: HeadName) -> FluxAudio:
    """The same weights under another score head (v1 → v2 in the paper's chain), strictly.

    Raises:
        CheckpointError: the heads differ in their keys (v1 and v2 share theirs, as do v3 and v5).
    """
    # PAPER-DEVIATION: the paper loads with strict=False. v1 and v2 share all keys, so strictness
    # changes nothing for them; a silent partial load between heads of other keys is an error.
    target = FluxAudio(model.config.with_head(score_head), torch_generator(0))
    tensors = {key: value.detach().clone() for key, value in model.state_dict().items()}
    return _fill_model(target, tensors, f"a {model.config.score_head} model", tensors)


def _fill_model(
    model: FluxAudio, tensors: Mapping[str, Tensor], source: str, may_be_nan: Collection[str] = ()
) -> FluxAudio:
    """Check keys, shapes and values, then load over the initial weights; all or nothing."""
    kind = f"FluxAudio with score head {model.config.score_head!r}"
    require_fit(model.state_dict(), tensors, source, kind, {*_STATISTICS, *may_be_nan})
    model.load_state_dict(dict(tensors), strict=True)
    return model
