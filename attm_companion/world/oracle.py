"""An oracle listener: trained on the hidden truth of the miniature world, asked only afterwards.

It hears what no judge of the study is told: how well a clip is produced, which faults it has and
what plays. Nothing is trained on it or selected by it, so its *true utility* shows whether Reward
was earned or exploited, and its concepts serve as the judge of concept coverage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from attm_companion.arrays import Array
from attm_companion.world.arrangement import ENSEMBLES, TEMPO_RANGES_BPM
from attm_companion.world.captions import MOODS
from attm_companion.world.config import OracleConfig
from attm_companion.world.fitting import fit, random_crops
from attm_companion.world.listeners import ListenerConfig
from attm_companion.world.mel_tower import Ear
from attm_companion.world.preferences import tag_fit
from attm_companion.world.production import FAULTS
from attm_core.weights import build

INSTRUMENTS = (*sorted({player.word for band in ENSEMBLES for player in band.players}), "drums")
BANDS = tuple(band.name for band in ENSEMBLES)
TEMPI = tuple(TEMPO_RANGES_BPM)
MOOD_GROUP = {word: f"{mode}, {tempo}" for (mode, tempo), words in MOODS.items() for word in words}
CONCEPTS = tuple(dict.fromkeys((*INSTRUMENTS, *BANDS, *TEMPI, *MOOD_GROUP.values(), "voices")))
HIDDEN = ("quality", *FAULTS)
MOODS_PER_GROUP = 4
CONCEPT_WEIGHT = 5.0  # of the mean cross entropy against the mean squared error
_NAMES = re.compile(r"\b(" + "|".join(sorted(INSTRUMENTS, key=len, reverse=True)) + r")\b")


class Oracle(nn.Module):
    """Hidden truth and concepts of clips."""

    centre: Tensor
    spread: Tensor
    common: Tensor

    def __init__(self, config: OracleConfig) -> None:
        super().__init__()
        self.config = config
        self.ear = Ear(config.tower)
        width = config.tower.width
        self.heads = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, len(HIDDEN) + len(CONCEPTS))
        )
        self.register_buffer("centre", torch.zeros(len(HIDDEN)))
        self.register_buffer("spread", torch.ones(len(HIDDEN)))
        self.register_buffer("common", torch.full((len(CONCEPTS),), 0.5))

    @torch.no_grad()
    def judge(self, mels: Float[Tensor, "n M L"]) -> Opinion:
        """What it makes of clips that `listen` gave."""
        hidden, concepts = self.heads(self.ear.hear(mels)).tensor_split([len(HIDDEN)], dim=1)
        hidden = hidden * self.spread + self.centre
        parts = (hidden, concepts.sigmoid(), self.common)
        return Opinion(*(part.double().numpy() for part in parts))


@dataclass(frozen=True)
class Opinion:
    """What the oracle makes of n clips."""

    hidden: Array  # (n, H) estimates of `HIDDEN`, the quality first
    concepts: Array  # (n, K) probabilities that each of `CONCEPTS` is in the clip
    common: Array  # (K,) share of the training clips that have each

    @property
    def quality(self) -> Array:
        """Production quality (n,), 1 for a clip without fault."""
        return self.hidden[:, 0]

    @property
    def heard(self) -> NDArray[np.bool_]:
        """Concepts (n, K) more probable than in a clip one knows nothing of."""
        return self.concepts > self.common

    def answers(self, concepts: Sequence[Sequence[str]]) -> list[list[bool]]:
        """Whether each clip has its concepts."""
        return [
            [bool(row[CONCEPTS.index(name)]) for name in names]
            for row, names in zip(self.heard, concepts, strict=True)
        ]

    def fit(self, tags: Sequence[str]) -> Array:
        """Expected share (n,) of each prompt's tags (tempo, mood, ensemble) that its clip has."""
        return np.array(
            [row @ _tag_weights(text) for row, text in zip(self.concepts, tags, strict=True)]
        )


def train_oracle(
    mels: Float[Tensor, "n M L"], rows: pd.DataFrame, config: OracleConfig, generator: Generator
) -> Oracle:
    """Train on clips whose truth is known: mixes, stems and stems that went through the codec.

    ``rows`` holds the clip table's row of each of the ``mels`` of `listen`; its ``has_voice`` says
    whether this version is sung. The generator draws weights, batches and windows.
    """
    model = build(lambda: Oracle(config), generator)
    model.ear.learn_scale(mels)
    hidden = torch.tensor(rows[list(HIDDEN)].to_numpy(), dtype=torch.float32)
    spread, centre = torch.std_mean(hidden, dim=0)
    model.centre.copy_(centre)
    model.spread.copy_(spread.clamp_min(1e-3))
    hidden = (hidden - centre) / model.spread
    concepts = torch.tensor(concept_table(rows), dtype=torch.float32)
    model.common.copy_(concepts.mean(0))

    def loss(batch: Tensor) -> Tensor:
        crops = random_crops(model.ear.standardize(mels[batch]), config.crop_frames, generator)
        estimate, logits = (
            model.heads(model.ear.tower(crops)).float().tensor_split([len(HIDDEN)], dim=1)
        )
        missed = F.binary_cross_entropy_with_logits(logits, concepts[batch])
        return F.mse_loss(estimate, hidden[batch]) + CONCEPT_WEIGHT * missed

    fit(model, loss, len(mels), config.fit, generator, "oracle")
    return model


@dataclass(frozen=True)
class Taste:
    """What a clip without voice is worth to the listeners: their weights over standard scores."""

    quality_weight: float
    fit_weight: float
    quality_scale: tuple[float, float]
    fit_scale: tuple[float, float]

    @classmethod
    def of(cls, table: pd.DataFrame, listeners: ListenerConfig) -> Taste:
        """With mean and deviation over the training clips, any of them under any's prompt."""
        clips = table[table["split"] == "train"]
        quality, fit = clips["quality"], tag_fit(clips["tags"])
        return cls(
            listeners.quality_weight,
            listeners.fit_weight,
            (float(quality.mean()), float(quality.std(ddof=0))),
            (float(fit.mean()), float(fit.std())),
        )

    def utility(self, quality: Array, fit: Array) -> Array:
        """Utility (n,) in units of the votes' logit."""
        good = (quality - self.quality_scale[0]) / self.quality_scale[1]
        fitting = (fit - self.fit_scale[0]) / self.fit_scale[1]
        return self.quality_weight * good + self.fit_weight * fitting


def oracle_quality(opinion: Opinion, truth: pd.DataFrame) -> dict[str, dict[str, float]]:
    """On held-out clips: R² of each hidden value, and how well each concept is told.

    ``truth`` holds their rows of the clip table.

    Returns:
        ``r2`` of each of `HIDDEN` and of the fit to tags; ``accuracy`` of each concept, balanced:
        the mean of the shares of right answers on clips that have it and on clips that have not
        (0.5 is chance).
    """
    wanted = truth[list(HIDDEN)].to_numpy(dtype=np.float64)
    missed = np.square(opinion.hidden - wanted).sum(0)
    spread = np.square(wanted - wanted.mean(0)).sum(0)
    told = {
        name: float(1 - missed[at] / spread[at]) for at, name in enumerate(HIDDEN) if spread[at] > 0
    }
    told["fit"] = _fit_r2(opinion, truth)
    held, heard = concept_table(truth), opinion.heard
    accuracy = {
        name: float((heard[held[:, at], at].mean() + (~heard[~held[:, at], at]).mean()) / 2)
        for at, name in enumerate(CONCEPTS)
        if 0 < held[:, at].sum() < len(held)
    }
    return {"r2": told, "accuracy": accuracy}


def _fit_r2(opinion: Opinion, truth: pd.DataFrame) -> float:
    """R² of the fit of each clip to the tags of the one before it and of itself."""
    tags = truth["tags"].tolist()
    true = tag_fit(tags)
    own, other = np.diagonal(true), np.diagonal(true, offset=-1)
    wanted = np.concatenate([own, other])
    shifted = Opinion(opinion.hidden[:-1], opinion.concepts[:-1], opinion.common)
    guessed = np.concatenate([opinion.fit(tags), shifted.fit(tags[1:])])
    return float(1 - np.square(guessed - wanted).sum() / np.square(wanted - wanted.mean()).sum())


def concept_table(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Which of `CONCEPTS` each row of the clip table has, (n, K)."""
    mode = rows["key"].str.split().str[-1]
    groups = mode + ", " + rows["tempo"]
    plain = zip(rows["ensemble"], rows["tempo"], groups, rows["has_voice"], strict=True)
    held = [
        {*_NAMES.findall(caption.lower()), band, tempo, group, *(["voices"] if sung else [])}
        for caption, (band, tempo, group, sung) in zip(rows["caption"], plain, strict=True)
    ]
    return np.array([[concept in concepts for concept in CONCEPTS] for concepts in held])


def concepts_of(caption: str, tags: str) -> list[str]:
    """The concepts that a prompt asks for: instruments, tempo and mood."""
    tempo, mood, _ = tags.split(", ")
    return [*dict.fromkeys(_NAMES.findall(caption.lower())), tempo, MOOD_GROUP[mood]]


def _tag_weights(tags: str) -> Array:
    """Weights of `CONCEPTS` that add up to the expected share of the tags."""
    tempo, mood, band = tags.split(", ")
    weights = np.zeros(len(CONCEPTS))
    weights[CONCEPTS.index(tempo)] += 1 / 3
    weights[CONCEPTS.index(MOOD_GROUP[mood])] += 1 / 3 / MOODS_PER_GROUP
    weights[CONCEPTS.index(band)] += 1 / 3
    return weights
