"""Score heads on disk (Section III-C): our safetensors, the released ``.pt``.

No code in a pickle is ever run. The shape of a head is read off its tensors. What they cannot
tell is how the input divides into CLAP audio, MERT and CLAP text: our files say so in their
metadata; for the released ones it is known from the total width or given by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from attm_core.errors import CheckpointError
from attm_core.files import read_metadata, save_tensors
from attm_core.ranker.tunejury import TuneJuryHead
from attm_core.state_dicts import load_strictly, read_state_dict

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
    tensors = _plain_names(read_state_dict(path), path)
    hidden, n_inputs = _shape(tensors, path)
    clap, mert, text = _widths(widths or _stored_widths(path), n_inputs, path)
    head = TuneJuryHead(clap, mert, hidden, text_width=text)
    load_strictly(head, tensors, path)
    return head.eval()


def _plain_names(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    for name in tensors:
        if not name.startswith(PREFIXES):
            raise CheckpointError(f"{path} is not a score head: it holds a tensor {name!r}")
    return {f"net.{name.split('.', 1)[1]}": tensor for name, tensor in tensors.items()}


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
    stored = read_metadata(path).get("feature_widths") if path.suffix == ".safetensors" else None
    if stored is None:
        return None
    try:
        widths = FeatureWidths(*json.loads(stored))
        if not all(isinstance(width, int) and width >= 0 for width in widths):
            raise ValueError(widths)
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {stored[:200]!r} are not three feature widths") from error
    return widths


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
