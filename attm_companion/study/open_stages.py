"""Stages of the open questions that are no link of the paper's chain (book/protocol.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from attm_companion.arrays import Array
from attm_companion.study.chain import Features, RewardColumn, SFTStage
from attm_companion.study.condition_scores import Scores
from attm_companion.study.conditions import Evaluator, InferenceProtocol
from attm_companion.study.features import SPLITS
from attm_companion.study.frozen import CorpusStage
from attm_companion.study.sampling import own_sampling
from attm_companion.study.stage import Stage
from attm_companion.world.unet import unet_backbone
from attm_core.backbone.config import FluxAudioConfig
from attm_core.configuration import SFTConfig
from attm_core.constants import HeadName
from attm_core.errors import ConfigError
from attm_core.files import write_atomic
from attm_core.generation.pipeline import postprocess
from attm_core.randomness import torch_generator
from attm_core.training.expert_iteration import blend
from attm_core.training.run import Run
from attm_core.training.sft import sft

N_CLIPS = 100  # of each kind that the separator is tried on
KINDS, VERSIONS = ("sung", "instrumental"), ("mix", "separated", "stem")


@dataclass(frozen=True)
class Heard:
    """What a row scored, whichever stage stands for it; to be tabulated as a condition is."""

    scored: Scores
    protocol: InferenceProtocol
    weights: SFTStage | UNetStage  # Stage 1 of its model, for the training seed

    @property
    def s(self) -> float | None:
        """The input score."""
        return self.protocol.config.s

    def scores(self) -> Scores:
        """As those of a condition."""
        return self.scored


class BestOfStage(Stage):
    """N samples per prompt, judged as Stage 2 judges its own and by the evaluation models."""

    kind: Literal["best_of"] = "best_of"
    weights: SFTStage
    protocol: InferenceProtocol
    evaluator: Evaluator
    n: int

    def run(self, folder: Path) -> None:
        """Sample ``n`` times; the first samples are those of the condition itself."""
        features, model = self.weights.features, self.weights.model()
        judge, seed = own_sampling(features, self.protocol.config).judge, self.protocol.seed
        for draw in range(self.n):
            clips = self.protocol.changed(seed=seed).clips(model, features)
            captions, seed = list(clips.prompts), seed + len(clips)
            self.evaluator.score(clips.waves, captions).save(folder / f"{draw}.npz")
            judged = np.stack(judge(clips, captions))
            write_atomic(folder / f"{draw}.npy", partial(np.save, arr=judged))

    def judged(self) -> Array:
        """Reward and CLAP similarity by Stage 2's judges, (2, n, prompts)."""
        found = [np.load(self.artefact(f"{draw}.npy")) for draw in range(self.n)]
        return np.asarray(np.stack(found, axis=1), dtype=np.float64)

    def heard(self) -> dict[str, Heard]:
        """The best of 1, 2, 4, … of the same samples, and of all ``n``."""
        drawn = [Scores.load(self.artefact(f"{draw}.npz")) for draw in range(self.n)]
        return {
            f"best of {n}": Heard(picked(drawn, best), self.protocol, self.weights)
            for n, best in self.best().items()
        }

    def best(self) -> dict[int, Array]:
        """Number of samples → which of them Stage 2's rule takes for each prompt."""
        reward, clap = self.judged()
        rank = blend(reward.ravel(), clap.ravel()).reshape(reward.shape)
        sizes = sorted({*(2**k for k in range(self.n.bit_length()) if 2**k <= self.n), self.n})
        return {n: rank[:n].argmax(axis=0) for n in sizes}


def picked(drawn: Sequence[Scores], best: Array) -> Scores:
    """The scores of draw ``best[p]`` at each prompt p."""
    rows = np.arange(len(best))
    columns = {name: [getattr(one, name) for one in drawn] for name in vars(drawn[0])}
    known = {name: values for name, values in columns.items() if values[0] is not None}
    return Scores(**{name: np.stack(values)[best, rows] for name, values in known.items()})


class UNetStage(Stage):
    """Stage 1 of another backbone, and what it scores under some protocols."""

    kind: Literal["unet"] = "unet"
    features: Features
    backbone: FluxAudioConfig
    head: HeadName
    reward: RewardColumn = "instrumental_reward_score"
    training: SFTConfig
    seed: int
    protocols: dict[str, InferenceProtocol]
    evaluator: Evaluator

    def run(self, folder: Path) -> None:
        """As `SFTStage`, but for the class of the backbone; then sample."""
        config = replace(self.backbone, **self.features.shapes(), score_head=self.head)
        model = unet_backbone(config, torch_generator(self.seed, "backbone"))
        model.set_null_text(*self.features.null_text())
        train, valid = (self.features.latents(split, self.reward) for split in SPLITS)
        sft(model, train, valid, self.training, Run(folder / "run", self.seed))
        for name, protocol in self.protocols.items():
            clips = protocol.clips(model.eval(), self.features)
            self.evaluator.score(clips.waves, list(clips.prompts)).save(folder / f"{name}.npz")

    def heard(self) -> dict[str, Heard]:
        """Protocol by protocol."""
        return {
            name: Heard(Scores.load(self.artefact(f"{name}.npz")), protocol, self)
            for name, protocol in self.protocols.items()
        }


class SeparatorCheckStage(Stage):
    """Real clips before and after the separator, and the true stem that it cannot do better than.

    Raises:
        ConfigError: the corpus has no stems.
    """

    kind: Literal["separator_check"] = "separator_check"
    evaluator: Evaluator
    protocol: InferenceProtocol

    def run(self, folder: Path) -> None:
        """Score clips of the validation split with a voice, and as many without."""
        corpus = self.evaluator.frozen.corpus
        if not isinstance(corpus, CorpusStage):
            raise ConfigError("only the miniature's corpus knows its stems")
        store, rows = corpus.store(), np.asarray(corpus.rows(self.protocol.split))
        separator = self.evaluator.frozen.separator.model()
        config = replace(self.protocol.config, target_lufs=None)
        voiced = store.table.loc[rows, "has_voice"].to_numpy(dtype=bool)
        for kind, wanted in zip(KINDS, (voiced, ~voiced), strict=True):
            chosen = rows[wanted][:N_CLIPS]
            mix, stem = (store.waves(track, chosen)[:, None] for track in ("mix", "instrumental"))
            separated = postprocess(mix, corpus.sample_rate_hz, separator, config)[0]
            for version, waves in zip(VERSIONS, (mix, separated, stem), strict=True):
                scores = self.evaluator.score(waves, store.captions(chosen))
                scores.save(folder / f"{kind} {version}.npz")

    def scores(self) -> dict[str, Scores]:
        """Kind and version of clips → what they scored."""
        names = [f"{kind} {v}" for kind, v in product(KINDS, VERSIONS)]
        return {name: Scores.load(self.artefact(f"{name}.npz")) for name in names}
