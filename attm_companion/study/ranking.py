"""The ranker as a stage: simulated votes, training, calibration, reward columns (Section III-C)."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import torch
from torch import Tensor

from attm_companion.arrays import Array
from attm_companion.study.frozen import QUALITY
from attm_companion.study.judges import VERSIONS, ClapStage, MertStage, SpectrogramStage
from attm_companion.study.profile import Ranker
from attm_companion.study.stage import Stage
from attm_companion.world.listeners import PreferenceConfig
from attm_core.files import read_json, write_atomic, write_json
from attm_core.randomness import torch_generator
from attm_core.ranker.reward_model import RewardModel, reward_columns
from attm_core.ranker.tunejury import ClipFeatures, TuneJuryHead, load_head, save_head

if TYPE_CHECKING:
    from attm_core.ranker.training import PairFeatures

HEAD_FILE = "head-{}.safetensors"
HEAD_SEED_STEP = 10_000
Heard = dict[str, tuple[Tensor, Tensor]]
"""CLAP (n, P) and MERT (n, M) embeddings of all n clips of the corpus, in each version."""


class RankerStage(Stage):
    """TuneJury trained on simulated votes, and its rewards for every clip of the corpus."""

    kind: Literal["ranker"] = "ranker"
    spectrograms: SpectrogramStage
    clap: ClapStage
    mert: MertStage
    preferences: PreferenceConfig
    config: Ranker
    seed: int

    def run(self, folder: Path) -> None:
        """Simulate the votes, train the heads, report them, and score all clips both ways."""
        from attm_companion.world.preferences import simulate_votes, tag_fit

        corpus = self.spectrograms.corpus
        table, fit = corpus.store().table, tag_fit(corpus.store().table["tags"])
        # The same votes whatever the seed: rankers differ in what they hear and start from.
        votes = simulate_votes(table, fit, self.preferences, corpus.config.seed)
        write_atomic(folder / "votes.parquet", votes.to_parquet)
        audio = self._hear()
        heads = self._train(votes, audio)
        for number, head in enumerate(heads):
            save_head(head, folder / HEAD_FILE.format(number))
        model = RewardModel(self.clap.model(), self.mert.model(), heads)
        write_json(folder / QUALITY, self._report(model, votes, audio))
        self._score_clips(model, table, audio)

    def _hear(self) -> Heard:
        """Embeddings of all clips; one that has not been through the codec stands as it is."""
        clap, mert = self.clap.embedded(), self.mert.embedded()
        heard: Heard = {version: (clap[version], mert[version]) for version in VERSIONS}
        rows = torch.from_numpy(self.spectrograms.rows("round_trip"))
        pairs = zip(heard["instrumental"], heard["round_trip"], strict=True)
        first, second = (plain.index_copy(0, rows, coded) for plain, coded in pairs)
        return heard | {"round_trip": (first, second)}

    def _train(self, votes: pd.DataFrame, audio: Heard) -> list[TuneJuryHead]:
        from attm_core.ranker.training import train_ranker

        train = votes[votes["split"] == "train"]
        heard = [train, _through_codec(train), self._codec_ties()]
        pairs = self._pairs(pd.concat(heard, ignore_index=True), audio)
        valid = self._pairs(votes[votes["split"] == "valid"], audio)
        heads = []
        for number in range(self.config.n_heads):
            seed = self.seed + HEAD_SEED_STEP * number
            widths = (self.clap.config.width, self.mert.config.width)
            generator = torch_generator(seed, "tunejury")
            head = TuneJuryHead(*widths, self.config.hidden, generator=generator)
            train_ranker(head, pairs, valid, self.config.training, seed)
            heads.append(head)
        return heads

    def _codec_ties(self) -> pd.DataFrame:
        """Training clips against themselves through the codec: the codec is nobody's fault."""
        coded, table = self.spectrograms.rows("round_trip"), self.spectrograms.corpus.store().table
        rows = coded[(table["split"] == "train").to_numpy()[coded]]
        sides = {"row_a": rows, "kind_a": "instrumental", "row_b": rows, "kind_b": "round_trip"}
        prompts = table["caption"].to_numpy()[rows]
        return pd.DataFrame({**sides, "prompt": prompts, "winner": "tie"})

    def _pairs(self, votes: pd.DataFrame, audio: Heard) -> PairFeatures:
        from attm_companion.world.vote_features import gather_pairs

        texts = [text for text in votes["prompt"].unique() if text]
        prompts = dict(zip(texts, self.clap.model().embed_text(texts), strict=True))
        clap = {kind: both[0] for kind, both in audio.items()}
        mert = {kind: both[1] for kind, both in audio.items()}
        return gather_pairs(votes, clap, mert, prompts)

    def _report(self, model: RewardModel, votes: pd.DataFrame, audio: Heard) -> dict[str, Any]:
        """Held-out accuracy on real sound and on sound through the codec."""
        from attm_companion.world.preferences import bayes_ceiling
        from attm_core.ranker.calibration import accuracy_by, calibration_report

        test = votes[votes["split"] == "test"]

        def margin(some: pd.DataFrame) -> Array:
            pairs = self._pairs(some, audio)
            return (model.score_features(pairs.a) - model.score_features(pairs.b)).numpy()

        report = calibration_report(margin(test), test["winner"])
        by_source = accuracy_by(test["source"], margin(test), test["winner"])
        coded = _through_codec(test)
        return {
            **asdict(report),
            "by_source": by_source.to_dict(orient="index"),
            "bayes_ceiling": bayes_ceiling(test),
            "n_votes": len(test),
            "epochs": self.config.training.max_epochs,
            "accuracy_coded": calibration_report(margin(coded), coded["winner"]).accuracy_overall,
            "bayes_ceiling_coded": bayes_ceiling(coded),
        }

    def _score_clips(self, model: RewardModel, table: pd.DataFrame, audio: Heard) -> None:
        text = model.text_features([str(caption) for caption in table["caption"]])
        mix, stem = (
            model.score_features(ClipFeatures(*audio[kind], text)).numpy()
            for kind in ("mix", "instrumental")
        )
        columns = reward_columns(table, mix, stem)
        train = columns.loc[table["split"] == "train", "instrumental_reward_score"]
        # MINI-WORLD: RankNet fixes a score up to an offset, and its scale depends on the noise
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
        files = [self.artefact(HEAD_FILE.format(n)) for n in range(self.config.n_heads)]
        map_ = read_json(self.artefact("calibration.json"))
        heads = [load_head(file) for file in files]
        return RewardModel(
            self.clap.model(), self.mert.model(), heads, map_["scale"], map_["offset"]
        )


def _through_codec(votes: pd.DataFrame) -> pd.DataFrame:
    """The votes in which a stem is heard, as if the listeners had heard it through the codec."""
    # MINI-WORLD: the paper's ranker has heard many codecs and generators among its votes.
    # Ours would know none, and take the codec's sound for bad production.
    sides = ("kind_a", "kind_b")
    coded = votes.assign(
        **{side: votes[side].replace("instrumental", "round_trip") for side in sides}
    )
    return coded[(coded[list(sides)] == "round_trip").any(axis=1)]
