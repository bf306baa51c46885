"""TuneJury's score head (Section III-C): CLAP audio, MERT and CLAP text of one clip to one scalar.

The head is an MLP 2048 → 1024 → 512 → 256 → 128 → 1 with BatchNorm, ReLU and Dropout(0.5) behind
each hidden layer. State-dict names (``net.0 … net.16``) and the feature order
[CLAP audio, MERT, CLAP text] are those of the released weights, so a released file loads as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attm_core.errors import InputError
from attm_core.randomness import torch_generator

PAPER_HIDDEN = (1024, 512, 256, 128)


@dataclass(frozen=True)
class ClipFeatures:
    """What the head reads of B clips, with CLAP width P and MERT width M.

    Attributes:
        clap_audio: (B, P), unit norm.
        mert: (B, M), mean over time, not normalised.
        clap_text: (B, P), unit norm; a row of zeros where there is no prompt.
    """

    clap_audio: Float[Tensor, "B P"]
    mert: Float[Tensor, "B M"]
    clap_text: Float[Tensor, "B P"]

    def __len__(self) -> int:
        return int(self.clap_audio.shape[0])

    def __getitem__(self, rows: Tensor | slice) -> ClipFeatures:
        """The same three features of the clips ``rows``."""
        return ClipFeatures(self.clap_audio[rows], self.mert[rows], self.clap_text[rows])


class StreamDropout(nn.Module):
    """Dropout whose masks come from a generator that the training loop hands in.

    ``nn.Dropout`` draws from PyTorch's global stream, which makes a run depend on whatever ran
    before it; here each training run owns its masks.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Zero each entry with ``probability`` and rescale the rest; the identity in evaluation.

        Raises:
            InputError: in training mode without a generator.
        """
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
        mert_width: M, width of a MERT embedding; 0 leaves MERT out.
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
            layers += [nn.ReLU(), StreamDropout(dropout)]
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
        for layer in self._dropouts():
            layer.generator = generator

    def forward(
        self,
        clap_audio: Float[Tensor, "B P"],
        mert: Float[Tensor, "B M"],
        clap_text: Float[Tensor, "B Q"],
    ) -> Float[Tensor, " B"]:
        """Score B clips; a feature that the head was built without is ignored.

        Raises:
            InputError: a feature has another width than the head was built for.
        """
        features = [
            _checked(feature, width, name)
            for feature, width, name in zip(
                (clap_audio, mert, clap_text),
                self.feature_widths,
                ("CLAP audio", "MERT", "CLAP text"),
                strict=True,
            )
            if width > 0
        ]
        scores: Tensor = self.net(torch.cat(features, dim=-1))
        return scores.squeeze(-1)

    def score(self, features: ClipFeatures) -> Float[Tensor, " B"]:
        """``forward`` on a ``ClipFeatures``."""
        scores: Tensor = self(features.clap_audio, features.mert, features.clap_text)
        return scores

    def _dropouts(self) -> Iterator[StreamDropout]:
        return (layer for layer in self.net if isinstance(layer, StreamDropout))


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
