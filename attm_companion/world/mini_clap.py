"""A small text-audio contrastive model: the mini cast of LAION-CLAP (Sections III-A, III-D, IV).

Audio tower on log-mel spectrograms, text tower on MiniLM's sentence vectors, symmetric InfoNCE
(Radford et al. 2021). Two seeds give the two checkpoints that the paper has, one for conditioning
and one for evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from attm_companion.world.config import MiniClapConfig
from attm_companion.world.fitting import fit, random_crops
from attm_companion.world.mel_tower import Ear, listen, projection
from attm_companion.world.minilm import MiniLM
from attm_core.audio import channel_mean
from attm_core.errors import InputError
from attm_core.weights import build

MAX_LOG_SCALE = math.log(100)  # as CLIP has it


class MiniClap(nn.Module):
    """Two towers into one space of unit vectors; meets ``ClapModel``.

    The sentence encoder is frozen and is not saved with the model.
    """

    def __init__(self, config: MiniClapConfig, text_encoder: MiniLM) -> None:
        super().__init__()
        if (found := text_encoder.width) != config.text_width:
            raise InputError(f"the text encoder is {found} wide, not {config.text_width}")
        self.config = config
        self.width = config.width
        self.text_encoder = text_encoder
        self.ear = Ear(config.tower)
        self.audio_head = projection(config.tower.width, config.hidden, config.width)
        self.text_head = projection(config.text_width, config.hidden, config.width)
        self.log_scale = nn.Parameter(torch.tensor(1.0 / config.temperature).log())

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "B P"]:
        """Unit-norm text embeddings."""
        return F.normalize(self.text_head(self.text_encoder.pooled(texts)), dim=-1)

    def embed_audio(
        self, waves: Float[Tensor, "B C S"], sample_rate_hz: int
    ) -> Float[Tensor, "B P"]:
        """Unit-norm audio embeddings of waves, whatever their level."""
        return self.embed_mels(listen(channel_mean(waves), sample_rate_hz))

    @torch.no_grad()
    def embed_mels(self, mels: Float[Tensor, "B M L"]) -> Float[Tensor, "B P"]:
        """Unit-norm audio embeddings of what `listen` gave."""
        return F.normalize(self.audio_head(self.ear.hear(mels)), dim=-1)


def train_mini_clap(
    mels: Float[Tensor, "n M L"],
    captions: Sequence[str],
    text_encoder: MiniLM,
    config: MiniClapConfig,
    generator: Generator,
) -> MiniClap:
    """Train on clips, as `listen` gives them, and a caption each; ends in evaluation mode.

    Mix, instrumental and round-trip versions are rows of their own. The generator draws weights,
    batches and windows: equal models for equal inputs and thread count.

    Raises:
        InputError: clips and captions differ in number, or there are none.
    """
    if len(mels) != len(captions):
        raise InputError(f"{len(mels)} clips but {len(captions)} captions")
    model = build(lambda: MiniClap(config, text_encoder), generator)
    model.ear.learn_scale(mels)
    text_vectors = text_encoder.pooled(captions)
    numbers = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
    caption_ids = torch.tensor([numbers[caption] for caption in captions])

    def loss(rows: Tensor) -> Tensor:
        crops = random_crops(model.ear.standardize(mels[rows]), config.crop_frames, generator)
        audio = F.normalize(model.audio_head(model.ear.tower(crops)).float(), dim=-1)
        text = F.normalize(model.text_head(text_vectors[rows]).float(), dim=-1)
        scale = model.log_scale.clamp(max=MAX_LOG_SCALE).exp()
        return info_nce(scale * audio @ text.T, caption_ids[rows])

    fit(model, loss, len(mels), config.fit, generator, "mini CLAP")
    return model


def info_nce(logits: Float[Tensor, "B B"], labels: Tensor) -> Float[Tensor, ""]:
    """Symmetric InfoNCE; rows that share a label are each other's positives, in equal parts."""
    same = (labels[:, None] == labels[None, :]).float()
    target = same / same.sum(1, keepdim=True)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))


def clap_quality(
    clap: MiniClap, mels: Float[Tensor, "n M L"], captions: Sequence[str], generator: Generator
) -> dict[str, float]:
    """How well held-out clips and captions find each other; the generator draws white noise.

    Returns:
        ``matched`` (mean cosine of pairs), ``shuffled`` (of clips with other clips' different
        captions), ``noise`` (white noise with the captions), ``median_rank`` of the own caption
        among the n and ``chance_rank`` (its expectation for a guess).
    """
    text = clap.embed_text(captions)
    cosine = clap.embed_mels(mels) @ text.T
    noise = torch.randn(len(mels), 1, 16_384, generator=generator)
    other = torch.tensor([[a != b for b in captions] for a in captions])
    matched = cosine.diagonal()
    # A different caption that scores higher is ahead; equal captions are the same answer.
    ranks = 1 + ((cosine > matched[:, None]) & other).sum(1)
    return {
        "matched": float(matched.mean()),
        "shuffled": float(cosine[other].mean()),
        "noise": float((clap.embed_audio(noise, 16_000) * text).sum(-1).mean()),
        "median_rank": float(ranks.float().median()),
        "chance_rank": (len(captions) + 1) / 2,
    }
