"""The ranker as the pipeline uses it (Section III-C): waves and prompts to rewards."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.errors import InputError
from attm_core.protocols import AudioEncoder, ClapModel
from attm_core.ranker.tunejury import ClipFeatures, TuneJuryHead

Heard = tuple[Tensor, Tensor]
"""CLAP (B, P) and MERT (B, M) embeddings of B clips."""


class RewardModel:
    """Frozen encoders and a trained head: what the paper calls *Reward* is its output.

    Args:
        clap: LAION-CLAP or its stand-in.
        mert: MERT or its stand-in.
        head: score head whose feature widths are those of the encoders.
        batch_size: clips encoded at a time.

    Raises:
        InputError: the head reads other widths than the encoders give.
    """

    def __init__(
        self, clap: ClapModel, mert: AudioEncoder, head: TuneJuryHead, batch_size: int = 32
    ) -> None:
        given = (clap.width, mert.width, clap.width)
        if any(
            wanted not in (0, width)
            for wanted, width in zip(head.feature_widths, given, strict=True)
        ):
            raise InputError(f"the head reads {head.feature_widths}, the encoders give {given}")
        self.clap, self.mert, self.head, self.batch_size = clap, mert, head, batch_size

    def score(
        self,
        waves: Float[Tensor, "B S"],
        sample_rate_hz: int,
        prompts: Sequence[str] | None = None,
    ) -> Float[Tensor, " B"]:
        """Reward of each clip under its prompt (unbounded; 0.62 ± 0.59 over the paper's corpus).

        Args:
            waves: (B, S) mono.
            sample_rate_hz: rate of ``waves`` in Hz.
            prompts: one a clip; None or ``""`` for no prompt.

        Raises:
            InputError: as ``features``.
        """
        return self.score_features(self.features(waves, sample_rate_hz, prompts))

    @torch.no_grad()
    def score_features(self, features: ClipFeatures) -> Float[Tensor, " B"]:
        """Reward from features computed before; BatchNorm in evaluation mode."""
        return self.head.eval().score(features)

    @torch.no_grad()
    def features(
        self,
        waves: Float[Tensor, "B S"],
        sample_rate_hz: int,
        prompts: Sequence[str] | None = None,
    ) -> ClipFeatures:
        """The head's inputs, for callers that keep them; arguments as ``score``.

        Raises:
            InputError: ``waves`` is not (B, S) with B ≥ 1, or there is not one prompt a clip.
        """
        clap, mert = self.hear(waves, sample_rate_hz)
        texts = [""] * len(waves) if prompts is None else prompts
        return ClipFeatures(clap, mert, self.text_features(texts, len(waves)))

    @torch.no_grad()
    def hear(self, waves: Float[Tensor, "B S"], sample_rate_hz: int) -> Heard:
        """CLAP and MERT audio embeddings, (B, P) and (B, M).

        Raises:
            InputError: ``waves`` is not (B, S) with B ≥ 1.
        """
        if waves.ndim != 2 or len(waves) == 0:
            raise InputError(f"waves must have shape (B, S) with B ≥ 1, got {tuple(waves.shape)}")
        chunks = waves.split(self.batch_size)
        return (
            torch.cat([self.clap.embed_audio(chunk, sample_rate_hz) for chunk in chunks]),
            torch.cat([self.mert.embed_audio(chunk, sample_rate_hz) for chunk in chunks]),
        )

    def score_heard(self, parts: Sequence[Heard], prompts: Sequence[str]) -> Float[Tensor, " B"]:
        """Reward of clips that `hear` went through in parts, so that no waves need be kept.

        Raises:
            InputError: there is not one prompt a clip.
        """
        clap, mert = (torch.cat(side) for side in zip(*parts, strict=True))
        return self.score_features(ClipFeatures(clap, mert, self.text_features(prompts, len(clap))))

    @torch.no_grad()
    def text_features(self, prompts: Sequence[str], n: int) -> Float[Tensor, "n P"]:
        """CLAP text embeddings, each distinct prompt encoded once.

        An empty prompt is a vector of zeros, not the embedding of ``""``: that is what the
        released head saw for SongEval.

        Raises:
            InputError: there are not ``n`` prompts.
        """
        if len(prompts) != n:
            raise InputError(f"{len(prompts)} prompts for {n} clips; give one a clip")
        distinct = sorted({prompt for prompt in prompts if prompt})
        embeddings = [torch.zeros(1, self.clap.width)]
        for start in range(0, len(distinct), self.batch_size):
            chunk = self.clap.embed_text(distinct[start : start + self.batch_size])
            embeddings.append(chunk.to(embeddings[0]))
        row_of = {prompt: row for row, prompt in enumerate(["", *distinct])}
        return torch.cat(embeddings)[[row_of[prompt] for prompt in prompts]]
