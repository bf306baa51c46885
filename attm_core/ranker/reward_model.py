"""The ranker as the pipeline uses it (Section III-C): waves and prompts to rewards."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from attm_core.errors import InputError
from attm_core.protocols import AudioEncoder, ClapModel
from attm_core.ranker.tunejury import ClipFeatures, TuneJuryHead

REWARD_COLUMNS = ("reward_score", "instrumental_reward_score", "track_reward_score")
_ENCODE_BATCH = 32


class RewardModel:
    """Fixed encoders and trained heads: what the paper calls *Reward* is its output.

    The scores of the heads are averaged (the paper has one head); ``scale`` and ``offset`` bring
    them to the paper's units.

    Raises:
        InputError: no head, or one that reads other widths than the encoders give.
    """

    def __init__(
        self,
        clap: ClapModel,
        mert: AudioEncoder,
        heads: Sequence[TuneJuryHead],
        scale: float = 1.0,
        offset: float = 0.0,
    ) -> None:
        given = (clap.width, mert.width, clap.width)
        for head in heads:
            read = zip(head.feature_widths, given, strict=True)
            if any(wanted not in (0, width) for wanted, width in read):
                raise InputError(f"the head reads {head.feature_widths}, the encoders give {given}")
        if not heads:
            raise InputError("a reward model needs at least one head")
        self.clap, self.mert = clap, mert
        self.heads = list(heads)
        self.scale, self.offset = scale, offset

    def score(
        self,
        waves: Float[Tensor, "B C S"],
        sample_rate_hz: int,
        prompts: Sequence[str] | None = None,
        clap_audio: Float[Tensor, "B P"] | None = None,
    ) -> Float[Tensor, " B"]:
        """Reward of each clip under its prompt (0.62 ± 0.59 over the paper's corpus), float64.

        Channels are averaged; no prompts, or ``""``, stand for no prompt. ``clap_audio`` are
        embeddings of the clips by ``clap`` if the caller has them, so that a clip is embedded once.

        Raises:
            InputError: ``waves`` is not (B, C, S) with B ≥ 1, or there is not one prompt or
                embedding per clip.
        """
        return self.score_features(self.features(waves, sample_rate_hz, prompts, clap_audio))

    @torch.no_grad()
    def score_features(self, features: ClipFeatures) -> Float[Tensor, " B"]:
        """Reward (float64) from features computed before; BatchNorm in evaluation mode."""
        raw = torch.stack([head.eval().score(features) for head in self.heads]).double().mean(dim=0)
        return self.scale * raw + self.offset

    @torch.no_grad()
    def features(
        self,
        waves: Float[Tensor, "B C S"],
        sample_rate_hz: int,
        prompts: Sequence[str] | None = None,
        clap_audio: Float[Tensor, "B P"] | None = None,
    ) -> ClipFeatures:
        """The heads' inputs; arguments as ``score``."""
        texts = [""] * len(waves) if prompts is None else prompts
        if clap_audio is None:
            clap_audio = embed_audio(self.clap, waves, sample_rate_hz)
        sizes = (len(texts), len(clap_audio))
        if sizes != (len(waves), len(waves)):
            raise InputError(f"{len(waves)} clips need as many prompts and embeddings, got {sizes}")
        mert = embed_audio(self.mert, waves, sample_rate_hz)
        return ClipFeatures(clap_audio, mert, self.text_features(texts))

    @torch.no_grad()
    def text_features(self, prompts: Sequence[str]) -> Float[Tensor, "B P"]:
        """CLAP text embeddings, each distinct prompt encoded once.

        An empty prompt is a vector of zeros, not the embedding of ``""``: that is what the
        released head saw for SongEval.
        """
        distinct = sorted({prompt for prompt in prompts if prompt})
        embeddings = [torch.zeros(1, self.clap.width)]
        for start in range(0, len(distinct), _ENCODE_BATCH):
            chunk = self.clap.embed_text(distinct[start : start + _ENCODE_BATCH])
            embeddings.append(chunk.to(embeddings[0]))
        row_of = {prompt: row for row, prompt in enumerate(["", *distinct])}
        return torch.cat(embeddings)[[row_of[prompt] for prompt in prompts]]


@torch.no_grad()
def embed_audio(
    encoder: ClapModel | AudioEncoder, waves: Float[Tensor, "B C S"], sample_rate_hz: int
) -> Float[Tensor, "B P"]:
    """Embeddings of B clips, a batch at a time.

    Raises:
        InputError: ``waves`` is not (B, C, S) with B ≥ 1.
    """
    if waves.ndim != 3 or len(waves) == 0:
        raise InputError(f"waves must have shape (B, C, S) with B ≥ 1, got {tuple(waves.shape)}")
    chunks = waves.split(_ENCODE_BATCH)
    return torch.cat([encoder.embed_audio(part, sample_rate_hz) for part in chunks])


def reward_columns(
    table: pd.DataFrame,
    scores_mix: ArrayLike,
    scores_instrumental: ArrayLike,
    track_column: str = "piece_id",
) -> pd.DataFrame:
    """``reward_score``, ``instrumental_reward_score`` and ``track_reward_score`` of each clip.

    ``table`` has one row per clip and tells its track in ``track_column``; the scores, one per row,
    are the ranker's of full mixes and of instrumental stems. Indexed as ``table``.

    Raises:
        InputError: a wrong number of scores, scores that are not finite, or no track column.
    """
    if track_column not in table:
        raise InputError(f"the table has no column {track_column!r}")
    rewards = pd.DataFrame(index=table.index)
    sides = {"mix": scores_mix, "instrumental": scores_instrumental}
    for column, (name, scores) in zip(REWARD_COLUMNS, sides.items(), strict=False):
        values = np.asarray(scores, dtype=np.float64)
        if values.shape != (len(table),) or not np.isfinite(values).all():
            raise InputError(
                f"{name} scores must be {len(table)} finite numbers, got shape {values.shape}"
            )
        rewards[column] = values
    # PAPER-SILENT: "track-level mean" does not say of which audio; it is the mean of the
    # full-audio scores here, since the column is listed beside `reward_score`.
    tracks = rewards["reward_score"].groupby(table[track_column])
    return rewards.assign(track_reward_score=tracks.transform("mean"))
