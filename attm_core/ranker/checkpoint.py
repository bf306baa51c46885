"""Score heads on disk (Section III-C): our safetensors, the released ``.pt``.

No code in a pickle is ever run. The shape of a head is read off its tensors. What they cannot
tell is how the input divides into CLAP audio, MERT and CLAP text: our files say so in their
metadata; for the released ones it is known from the total width or given by the caller.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from attm_core.errors import CheckpointError
from attm_core.files import load_tensors, save_tensors
from attm_core.ranker.tunejury import TuneJuryHead

LAYERS_PER_BLOCK = 4  # Linear, BatchNorm, ReLU, Dropout
PREFIXES = ("net.", "score.")  # the second in the released encoder-swap head


class FeatureWidths(NamedTuple):
    """How the input of a head divides, in its order."""

    clap_audio: int
    mert: int
    clap_text: int


# By input width: the released head, and its CLAP-audio-only variant (the one licensed Apache-2.0).
RELEASED_WIDTHS = {2048: FeatureWidths(512, 1024, 512), 512: FeatureWidths(512, 0, 0)}


def save_head(head: TuneJuryHead, path: Path) -> Path:
    """Write a head as safetensors, its feature widths in the metadata."""
    metadata = {"feature_widths": json.dumps(head.feature_widths)}
    return save_tensors(path, head.state_dict(), metadata)


def load_head(path: Path, widths: FeatureWidths | None = None) -> TuneJuryHead:
    """Read a head of any width, ours or released, ready to score (evaluation mode).

    Args:
        path: ``.safetensors``, ``.pt`` or ``.pth``; pickles are read as plain tensors only.
        widths: how the input divides, where neither the file nor its total width tells.

    Raises:
        CheckpointError: missing, truncated or corrupt file, a pickle that holds code, NaN weights,
            tensors that are not a score head, or widths that do not add up to its input.
    """
    path = Path(path)
    tensors = _plain_names(_read_tensors(path), path)
    hidden, n_inputs = _shape(tensors, path)
    clap, mert, text = _widths(widths or _stored_widths(path), n_inputs, path)
    head = TuneJuryHead(clap, mert, hidden, text_width=text)
    try:
        head.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise CheckpointError(f"{path} is not a score head: {error}") from error
    return head.eval()


def _read_tensors(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_tensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors and was not loaded, since a pickle can run code; "
            "fetch it again from its source"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is corrupt or truncated ({error}); fetch it again"
        ) from error
    return _tensors_only(content, path)


def _tensors_only(content: Any, path: Path) -> Mapping[str, Tensor]:
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise CheckpointError(f"{path} is not a state dict of tensors")
    return content


def _plain_names(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    plain = {}
    for name, tensor in tensors.items():
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            raise CheckpointError(f"{path} is not a score head: it holds a tensor {name!r}")
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{path} holds NaN or infinite values in {name!r}; fetch it again"
            )
        plain["net." + name.removeprefix(prefix)] = tensor
    return plain


def _shape(tensors: Mapping[str, Tensor], path: Path) -> tuple[list[int], int]:
    """Hidden widths and input width from the linear layers net.0, net.4 and so on."""
    weights: list[Tensor] = []
    while (weight := tensors.get(f"net.{LAYERS_PER_BLOCK * len(weights)}.weight")) is not None:
        weights.append(weight)
    if len(weights) < 2 or any(weight.ndim != 2 for weight in weights):
        raise CheckpointError(
            f"{path} is not a score head: no chain of linear layers net.0, net.4 …"
        )
    return [weight.shape[0] for weight in weights[:-1]], weights[0].shape[1]


def _stored_widths(path: Path) -> FeatureWidths | None:
    if path.suffix != ".safetensors":
        return None
    from safetensors import safe_open

    with safe_open(path, framework="pt") as stream:
        stored = (stream.metadata() or {}).get("feature_widths")
    return None if stored is None else FeatureWidths(*json.loads(stored))


def _widths(widths: FeatureWidths | None, n_inputs: int, path: Path) -> FeatureWidths:
    widths = widths or RELEASED_WIDTHS.get(n_inputs)
    if widths is None:
        raise CheckpointError(
            f"{path} has {n_inputs} inputs and does not say how they divide; pass "
            "widths=FeatureWidths(clap_audio, mert, clap_text)"
        )
    if sum(widths) != n_inputs:
        raise CheckpointError(f"{path} has {n_inputs} inputs, but {widths} add up to {sum(widths)}")
    return widths
