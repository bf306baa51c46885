"""The ranker as a stage: simulated votes, training, calibration, reward columns (Section III-C)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attm_companion.study.frozen import QUALITY, WEIGHTS, ClapStage, CorpusStage, MertStage
from attm_companion.study.profile import Ranker
from attm_companion.study.stage import Stage
from attm_companion.world.preferences import (
    PreferenceConfig,
    bayes_ceiling,
    simulate_votes,
    tag_fit,
)
from attm_core.files import read_json, write_atomic, write_json
from attm_core.randomness import torch_generator
from attm_core.ranker.calibration import accuracy_by, calibration_report
from attm_core.ranker.checkpoint import load_head, save_head
from attm_core.ranker.reward_model import RewardModel, reward_columns
from attm_core.ranker.training import PairFeatures, gather_pairs, train_ranker
from attm_core.ranker.tunejury import ClipFeatures, TuneJuryHead

KINDS = ("mix", "instrumental")
SPLITS = ("train", "valid", "test")
EMBED_ROWS = 256


class RankerStage(Stage):
    """TuneJury trained on simulated votes, and its rewards for every clip of the corpus."""

    kind: Literal["ranker"] = "ranker"
    corpus: CorpusStage
    clap: ClapStage
    mert: MertStage
    preferences: PreferenceConfig
    config: Ranker
    seed: int

    def run(self, folder: Path) -> None:
        """Simulate the votes, train the head, report it, and score all clips both ways."""
        table = self.corpus.store().table
        votes = simulate_votes(table, tag_fit(table["tags"]), self.preferences, self.seed)
        write_atomic(folder / "votes.parquet", votes.to_parquet)
        audio = {kind: self._embed(kind) for kind in KINDS}
        head = self._train(votes, audio)
        save_head(head, folder / WEIGHTS)
        self._score_clips(head, table, audio)

    def _embed(self, kind: str) -> tuple[Tensor, Tensor]:
        """CLAP and MERT audio embeddings of all clips of the corpus."""
        store, clap, mert = self.corpus.store(), self.clap.model(), self.mert.model()
        parts: list[tuple[Tensor, Tensor]] = []
        for rows in np.array_split(np.arange(len(store)), -(-len(store) // EMBED_ROWS)):
            waves = store.waves(kind, rows)  # type: ignore[arg-type]
            rate = store.sample_rate_hz
            parts.append((clap.embed_audio(waves, rate), mert.embed_audio(waves, rate)))
        both = tuple(torch.cat(side) for side in zip(*parts, strict=True))
        return both[0], both[1]

    def _train(self, votes: pd.DataFrame, audio: dict[str, tuple[Tensor, Tensor]]) -> TuneJuryHead:
        pairs = {split: self._pairs(votes[votes["split"] == split], audio) for split in SPLITS}
        head = TuneJuryHead(
            self.clap.config.width,
            self.mert.config.width,
            self.config.hidden,
            generator=torch_generator(self.seed, "tunejury"),
        )
        history = train_ranker(
            head, pairs["train"], pairs["valid"], self.config.training, self.seed
        )
        report = self._report(head, votes[votes["split"] == "test"], pairs["test"])
        report["epochs"] = len(history.records)
        write_json(self.folder / QUALITY, report)
        return head

    def _pairs(self, votes: pd.DataFrame, audio: dict[str, tuple[Tensor, Tensor]]) -> PairFeatures:
        texts = [text for text in votes["prompt"].unique() if text]
        prompts = dict(zip(texts, self.clap.model().embed_text(texts), strict=True))
        clap = {kind: both[0] for kind, both in audio.items()}
        mert = {kind: both[1] for kind, both in audio.items()}
        return gather_pairs(votes, clap, mert, prompts)

    def _report(
        self, head: TuneJuryHead, votes: pd.DataFrame, pairs: PairFeatures
    ) -> dict[str, Any]:
        with torch.no_grad():
            margin = (head.score(pairs.a) - head.score(pairs.b)).numpy()
        report = calibration_report(margin, votes["winner"])
        by_source = accuracy_by(votes["source"], margin, votes["winner"])
        return {
            **report.to_dict(),
            "by_source": by_source.to_dict(orient="index"),
            "bayes_ceiling": bayes_ceiling(votes),
            "n_votes": len(votes),
        }

    def _score_clips(
        self, head: TuneJuryHead, table: pd.DataFrame, audio: dict[str, tuple[Tensor, Tensor]]
    ) -> None:
        captions = [str(caption) for caption in table["caption"]]
        text = self.clap.model().embed_text(captions)
        with torch.no_grad():
            raw = {kind: head.score(ClipFeatures(*audio[kind], text)).numpy() for kind in KINDS}
        columns = reward_columns(table, raw["mix"], raw["instrumental"])
        train = columns.loc[table["split"] == "train", "instrumental_reward_score"]
        # PAPER-DEVIATION: RankNet fixes a score up to an offset, and its scale depends on the noise
        # of the votes. One affine map gives the training rewards the paper's mean and standard
        # deviation, so that its values of s mean the same here.
        scale = self.config.reward_std / float(train.std())
        offset = self.config.reward_mean - scale * float(train.mean())
        write_json(self.folder / "calibration.json", {"scale": scale, "offset": offset})
        calibrated = scale * columns + offset
        write_atomic(self.folder / "rewards.parquet", calibrated.to_parquet)

    def rewards(self) -> pd.DataFrame:
        """The three reward columns of every clip, in the paper's units."""
        return pd.read_parquet(self.artefact("rewards.parquet"))

    @cached_property
    def reward_model(self) -> RewardModel:
        """The trained ranker with its encoders, in the paper's units."""
        heads = [load_head(self.artefact(WEIGHTS))]
        map_ = read_json(self.artefact("calibration.json"))
        return RewardModel(
            self.clap.model(), self.mert.model(), heads, map_["scale"], map_["offset"]
        )
