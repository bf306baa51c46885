"""TuneJury's score head (Section III-C): CLAP audio, MERT and CLAP text of one clip to one scalar.

The head is an MLP 2048 → 1024 → 512 → 256 → 128 → 1 with BatchNorm, ReLU and Dropout(0.5) behind
each hidden layer. State-dict names (``net.0 … net.16``) and the feature order
[CLAP audio, MERT, CLAP text] are those of the released weights, so a released file loads as it is.

No code in a pickle is ever run. The shape of a head is read off its tensors. What they cannot tell
is how the input divides: our files say so in their metadata; for the released ones it is known from
the total width or given by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attm_core.constants import PAPER_HIDDEN
from attm_core.errors import CheckpointError, InputError
from attm_core.files import read_metadata, save_tensors
from attm_core.randomness import torch_generator
from attm_core.weights import load_strictly, read_state_dict


@dataclass(frozen=True)
class ClipFeatures:
    """What the head reads of B clips, with CLAP width P and MERT width E."""

    clap_audio: Float[Tensor, "B P"]  # unit norm
    mert: Float[Tensor, "B E"]  # mean over time, not normalised
    clap_text: Float[Tensor, "B P"]  # unit norm; a row of zeros where there is no prompt

    def __len__(self) -> int:
        return int(self.clap_audio.shape[0])

    def __getitem__(self, rows: Tensor | slice) -> ClipFeatures:
        """The same three features of the clips ``rows``."""
        return ClipFeatures(self.clap_audio[rows], self.mert[rows], self.clap_text[rows])


class _StreamDropout(nn.Module):
    """Dropout from a generator that the training loop hands in, not from a global stream."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Zero each entry with ``probability`` and rescale the rest; the identity in evaluation."""
        if not self.training or self.probability == 0.0:
            return x
        if self.generator is None:
            raise InputError("set_dropout_generator must be called before training the head")
        keep = 1.0 - self.probability
        draw = torch.rand(x.shape, generator=self.generator, device=self.generator.device)
        return x * (draw < keep).to(x) / keep


class TuneJuryHead(nn.Module):
    """The pairwise ranker's scalar score of a clip; 2,791,169 parameters at the paper's widths.

    Args:
        clap_width: P, width of a CLAP embedding; 0 leaves CLAP audio out.
        mert_width: E, width of a MERT embedding; 0 leaves MERT out.
        hidden: widths of the hidden layers.
        dropout: probability behind each hidden layer.
        generator: stream of the initial weights (Kaiming-normal, fan-out; zero biases).
        text_width: width of the text embedding if it is not ``clap_width``; 0 leaves it out.
    """

    def __init__(
        self,
        clap_width: int = 512,
        mert_width: int = 1024,
        hidden: Sequence[int] = PAPER_HIDDEN,
        dropout: float = 0.5,
        generator: torch.Generator | None = None,
        text_width: int | None = None,
    ) -> None:
        super().__init__()
        text_width = clap_width if text_width is None else text_width
        self.feature_widths = (clap_width, mert_width, text_width)
        self.hidden = tuple(hidden)
        widths = (sum(self.feature_widths), *self.hidden)
        if min(self.feature_widths) < 0 or min(widths) < 1:
            raise InputError(f"a head of features {self.feature_widths} and {hidden} is empty")
        generator = generator or torch_generator(0, "tunejury")
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [_linear(fan_in, fan_out, generator), nn.BatchNorm1d(fan_out)]
            layers += [nn.ReLU(), _StreamDropout(dropout)]
        layers.append(_linear(widths[-1], 1, generator))
        self.net = nn.Sequential(*layers)

    @property
    def output(self) -> nn.Linear:
        """The last layer, hidden width to score."""
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        return last

    def set_dropout_generator(self, generator: torch.Generator | None) -> None:
        """Hand over the stream of the dropout masks (all layers draw from it in turn)."""
        for layer in self.net:
            if isinstance(layer, _StreamDropout):
                layer.generator = generator

    def forward(
        self,
        clap_audio: Float[Tensor, "B P"],
        mert: Float[Tensor, "B E"],
        clap_text: Float[Tensor, "B Q"],
    ) -> Float[Tensor, " B"]:
        """Score B clips; a feature that the head was built without is ignored.

        Raises:
            InputError: a feature has another width than the head was built for.
        """
        given = {"CLAP audio": clap_audio, "MERT": mert, "CLAP text": clap_text}
        pairs = zip(given.items(), self.feature_widths, strict=True)
        features = [_checked(feature, width, name) for (name, feature), width in pairs if width]
        scores: Tensor = self.net(torch.cat(features, dim=-1))
        return scores.squeeze(-1)

    def score(self, features: ClipFeatures) -> Float[Tensor, " B"]:
        """``forward`` on a ``ClipFeatures``."""
        scores: Tensor = self(features.clap_audio, features.mert, features.clap_text)
        return scores


def _linear(fan_in: int, fan_out: int, generator: torch.Generator) -> nn.Linear:
    # Empty first: the initialisation of nn.Linear itself would draw from the global stream.
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def _checked(feature: Tensor, width: int, name: str) -> Tensor:
    if feature.ndim != 2 or feature.shape[1] != width:
        raise InputError(
            f"{name} features have shape {tuple(feature.shape)}; this head reads (B, {width})"
        )
    return feature


_LAYERS_PER_BLOCK = 4  # Linear, BatchNorm, ReLU, Dropout
_PREFIXES = ("net.", "score.")  # the second in the released encoder-swap head


class FeatureWidths(NamedTuple):
    """How the input of a head divides, in its order."""

    clap_audio: int
    mert: int
    clap_text: int


# By input width: the released head, and its CLAP-audio-only variant (the one licensed Apache-2.0).
_RELEASED_WIDTHS = {2048: FeatureWidths(512, 1024, 512), 512: FeatureWidths(512, 0, 0)}


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
    read = read_state_dict(path)
    if foreign := [name for name in read if not name.startswith(_PREFIXES)]:
        raise CheckpointError(f"{path} is not a score head: it holds a tensor {foreign[0]!r}")
    tensors = {f"net.{name.split('.', 1)[1]}": tensor for name, tensor in read.items()}
    weights: list[Tensor] = []
    while (weight := tensors.get(f"net.{_LAYERS_PER_BLOCK * len(weights)}.weight")) is not None:
        weights.append(weight)
    if len(weights) < 2 or any(weight.ndim != 2 for weight in weights):
        raise CheckpointError(
            f"{path} is not a score head: no chain of linear layers net.0, net.4 …"
        )
    hidden, n_inputs = [weight.shape[0] for weight in weights[:-1]], weights[0].shape[1]
    widths = widths or _stored_widths(path) or _RELEASED_WIDTHS.get(n_inputs)
    if widths is None:
        raise CheckpointError(
            f"{path} has {n_inputs} inputs and does not say how they divide; pass "
            "widths=FeatureWidths(clap_audio, mert, clap_text)"
        )
    if sum(widths) != n_inputs:
        raise CheckpointError(f"{path} has {n_inputs} inputs, but {widths} add up to {sum(widths)}")
    head = TuneJuryHead(widths.clap_audio, widths.mert, hidden, text_width=widths.clap_text)
    load_strictly(head, tensors, path)
    return head.eval()


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
