"""The training set as the backbone sees it: latents, text features and scores (Section III-D(a)).

The codec's posterior is stored, not one sample of it: every visit of a clip draws
``mean + std·ε`` with fresh ε. Rows are visited pass by pass in a random order, and the rows of
step k are a function of (seed, k) alone, so a resumed run needs no sampler state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attm_core.backbone.config import Conditions
from attm_core.errors import InputError
from attm_core.randomness import torch_generator
from attm_core.training.run import tensors_digest

_DIGEST_ROWS = 64


@dataclass(frozen=True)
class Batch:
    """Some clips: un-normalised latents (B, N, C), text conditions of B rows, scores (B,)."""

    latents: Float[Tensor, "B N C"]
    conditions: Conditions
    score: Float[Tensor, " B"]

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        return Batch(self.latents.to(device), self.conditions.to(device), self.score.to(device))

    def __getitem__(self, rows: Tensor) -> Batch:
        """Some rows of the batch."""
        return Batch(self.latents[rows], self.conditions[rows], self.score[rows])

    @staticmethod
    def cat(parts: Sequence[Batch]) -> Batch:
        """One batch from several."""
        latents = torch.cat([part.latents for part in parts])
        conditions = Conditions.cat([part.conditions for part in parts])
        return Batch(latents, conditions, torch.cat([part.score for part in parts]))


@dataclass(frozen=True)
class LatentSet:
    """Clips with their text features and scores; tensors may be memory-mapped or half precision.

    Raises:
        InputError: the tensors do not fit together, or a score is not finite.
    """

    mean: Float[Tensor, "n N C"]  # of the posterior, un-normalised
    std: Float[Tensor, "n N C"]  # zeros for latents that were generated
    tokens: Float[Tensor, "u T F"]  # u = n, or captions stored once
    pooled: Float[Tensor, "u P"]  # CLAP text embeddings
    score: Float[Tensor, " n"]  # ranker rewards, the ``s`` that the score head learns
    caption_index: Int[Tensor, " n"] | None = None  # each clip's row of ``tokens`` and ``pooled``

    def __post_init__(self) -> None:
        n, n_text, index = len(self.mean), len(self.tokens), self.caption_index
        if self.mean.ndim != 3 or self.mean.shape != self.std.shape or self.score.shape != (n,):
            raise InputError(
                f"mean {tuple(self.mean.shape)} and std {tuple(self.std.shape)} must both be "
                f"(n, N, C) and score {tuple(self.score.shape)} (n,)"
            )
        if self.tokens.ndim != 3 or self.pooled.ndim != 2 or len(self.pooled) != n_text:
            raise InputError(
                f"tokens {tuple(self.tokens.shape)} and pooled {tuple(self.pooled.shape)} must be "
                "(u, T, F) and (u, P) with the same u"
            )
        if not torch.isfinite(self.score).all():
            raise InputError("a score is NaN or infinite; score every clip before training")
        if index is None:
            if n_text != n:
                raise InputError(f"{n_text} captions for {n} clips need a caption_index")
        elif index.shape != (n,) or (n and not 0 <= int(index.min()) <= int(index.max()) < n_text):
            raise InputError(f"caption_index must hold {n} rows of the {n_text} captions")

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(N, C)."""
        return self.mean.shape[1], self.mean.shape[2]

    def conditions(self, rows: Int[Tensor, " B"]) -> Conditions:
        """Text features of the clips ``rows``."""
        texts = rows if self.caption_index is None else self.caption_index[rows]
        return Conditions(self.tokens[texts].float(), self.pooled[texts].float())

    def at(self, rows: Int[Tensor, " B"], epsilon: Float[Tensor, "B N C"]) -> Batch:
        """The clips ``rows``, their latents at ``mean + std·epsilon``."""
        latents = torch.addcmul(self.mean[rows].float(), self.std[rows].float(), epsilon)
        return Batch(latents, self.conditions(rows), self.score[rows].float())

    def batch(self, rows: Int[Tensor, " B"], generator: torch.Generator) -> Batch:
        """The clips ``rows`` with latents freshly drawn from their posteriors."""
        return self.at(rows, torch.randn(len(rows), *self.latent_shape, generator=generator))

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name, as ``LatentSet(**tensors)`` takes them."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def digest(self) -> str:
        """A hash of the set: all scores, and latents and text of rows spread over it."""
        rows = torch.linspace(0, len(self) - 1, min(len(self), _DIGEST_ROWS)).long()
        text = self.conditions(rows)
        latents = self.mean[rows], self.std[rows]
        return tensors_digest([self.score, *latents, text.tokens, text.pooled])

    def statistics(self, block: int = 4096) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
        """Mean and standard deviation (C,) of the channels, for the backbone's normalisation.

        Taken over samples ``mean + std·ε`` in closed form: their variance is that of the means
        plus the mean of std². Rows are read in blocks, so a memory-mapped set stays on disk.
        """
        total = torch.zeros(3, self.latent_shape[1], dtype=torch.float64)
        for mean, std in zip(self.mean.split(block), self.std.split(block), strict=True):
            mean, std = mean.double(), std.double()
            sums = (mean, mean.square(), std.square())
            total += torch.stack([part.sum(dim=(0, 1)) for part in sums])
        average, square, noise = total / (len(self) * self.latent_shape[0])
        return average.float(), (square - average.square() + noise).sqrt().float()


@dataclass(frozen=True)
class Mixture:
    """Several sets as one, rows numbered one after the other; nothing is copied.

    In one pass the rows of each part occur as often as its factor in ``oversample`` says.
    """

    parts: tuple[LatentSet, ...]
    oversample: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.parts) != len(self.oversample) or min(self.oversample, default=0) < 1:
            raise InputError("a mixture needs one oversampling factor ≥ 1 for each of its parts")
        if len({part.latent_shape for part in self.parts}) != 1:
            raise InputError("the parts of a mixture must have latents of one shape")

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(N, C)."""
        return self.parts[0].latent_shape

    def copies(self) -> Int[Tensor, " n"]:
        """How often each row occurs in one pass."""
        factors = zip(self.parts, self.oversample, strict=True)
        return torch.cat([torch.full((len(part),), factor) for part, factor in factors])

    def digest(self) -> str:
        """A hash of the parts and their factors."""
        return " ".join([*(part.digest() for part in self.parts), *map(str, self.oversample)])

    def at(self, rows: Int[Tensor, " B"], epsilon: Float[Tensor, "B N C"]) -> Batch:
        """The clips ``rows``, their latents at ``mean + std·epsilon``."""
        places, batches, first = [], [], 0
        for part in self.parts:
            place = ((rows >= first) & (rows < first + len(part))).nonzero()[:, 0]
            places.append(place)
            batches.append(part.at(rows[place] - first, epsilon[place]))
            first += len(part)
        return Batch.cat(batches)[torch.cat(places).argsort()]


ClipSource = LatentSet | Mixture
"""What a stage trains on."""


class RowSampler:
    """Rows of each step: pass after pass over the set, each pass in an order of its own.

    ``source`` gives ``batch_size`` rows per step; a row with c copies occurs c times per pass.

    Raises:
        InputError: the set is empty.
    """

    def __init__(self, source: ClipSource, batch_size: int, seed: int) -> None:
        if len(source) == 0:
            raise InputError("cannot train on an empty set of clips")
        rows = torch.arange(len(source))
        if isinstance(source, Mixture):
            rows = rows.repeat_interleave(source.copies())
        self._rows, self._batch_size = rows, batch_size

        @lru_cache(maxsize=2)
        def shuffled(epoch: int) -> Tensor:
            order = torch.randperm(len(rows), generator=torch_generator(seed, "rows", epoch))
            return rows[order]

        self._order = shuffled

    def rows(self, step: int) -> Int[Tensor, " B"]:
        """The rows of step ``step`` (from 0), a function of (seed, step) alone."""
        start, end = step * self._batch_size, (step + 1) * self._batch_size
        length = len(self._rows)
        passes = range(start // length, (end - 1) // length + 1)
        return torch.cat(
            [self._order(k)[max(0, start - k * length) : end - k * length] for k in passes]
        )
