"""The mini cast of the encoders that judge, as stages, and the oracle that judges the judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attm_companion.arrays import Array, Rows
from attm_companion.study.frozen import QUALITY, WEIGHTS, CodecStage, CorpusStage, TextStage
from attm_companion.study.stage import Stage
from attm_companion.world.config import MiniClapConfig, MiniMertConfig, OracleConfig
from attm_companion.world.listeners import ListenerConfig
from attm_core.files import load_tensors, read_json, save_tensors, write_json
from attm_core.randomness import torch_generator
from attm_core.weights import load_module, save_module

if TYPE_CHECKING:
    from attm_companion.world.mini_clap import MiniClap
    from attm_companion.world.mini_mert import MiniMert
    from attm_companion.world.oracle import Oracle
    from attm_companion.world.store import Track

TASTE = "taste.json"
EMBEDDED = "embedded.safetensors"
N_PROBE = 1000  # training clips behind a linear probe
Version = Literal["mix", "instrumental", "round_trip"]
VERSIONS: tuple[Version, ...] = ("mix", "instrumental", "round_trip")
ROUND_TRIP_STEP = 2  # every second training clip also goes through the codec
LISTEN_BATCH = 64


class SpectrogramStage(Stage):
    """What the judges learn from: clips as mixes, as stems, and as stems through the codec.

    All that a generator makes has been through the codec, so a judge that never heard its sound
    would take it for bad production.
    """

    kind: Literal["spectrograms"] = "spectrograms"
    corpus: CorpusStage
    codec: CodecStage

    def run(self, folder: Path) -> None:
        """Spectrograms of every version."""
        from attm_companion.world.mel_tower import listen

        codec, rate = self.codec.model(), self.corpus.sample_rate_hz
        for version in VERSIONS:
            track: Track = "mix" if version == "mix" else "instrumental"
            rows, parts = self.rows(version), []
            for some in np.array_split(rows, -(-len(rows) // LISTEN_BATCH)):
                waves = self.corpus.store().waves(track, some)
                if version == "round_trip":
                    waves = codec.decode(codec.encode(waves[:, None])[0])[:, 0]
                parts.append(listen(waves, rate).half())
            save_tensors(folder / f"{version}.safetensors", {"mels": torch.cat(parts)})

    def rows(self, version: Version) -> Rows:
        """Corpus rows of a version, in the order of `mels`."""
        store = self.corpus.store()
        if version != "round_trip":
            return np.arange(len(store))
        held_out = [store.rows(split) for split in ("valid", "test", "prompts")]
        return np.concatenate([store.rows("train")[::ROUND_TRIP_STEP], *held_out])

    def mels(self, version: Version) -> Tensor:
        """Spectrograms (n, M, L) of a version, half precision."""
        return load_tensors(self.artefact(f"{version}.safetensors"))["mels"]

    def of_split(self, split: str, versions: Sequence[Version]) -> tuple[Tensor, list[Rows]]:
        """Spectrograms of a split in some versions, and the corpus rows of each version."""
        wanted = self.corpus.rows(split)
        mels, rows = [], []
        for version in versions:
            have = self.rows(version)
            at = np.isin(have, wanted)
            mels.append(self.mels(version)[torch.from_numpy(at)])
            rows.append(have[at])
        return torch.cat(mels), rows


class EncoderStage(Stage):
    """A judge that turns sound into embeddings, and those of every version of the clips."""

    spectrograms: SpectrogramStage
    seed: int

    def embedded(self) -> dict[str, Tensor]:
        """Embeddings (n, P) of every version of the clips."""
        return load_tensors(self.artefact(EMBEDDED))

    def _embed_all(self, encoder: MiniClap | MiniMert, folder: Path) -> dict[str, Tensor]:
        """Write the encoder's embeddings of every version, for all that read them."""
        embedded: dict[str, Tensor] = {
            version: encoder.embed_mels(self.spectrograms.mels(version)) for version in VERSIONS
        }
        save_tensors(folder / EMBEDDED, embedded)
        return embedded


class ClapStage(EncoderStage):
    """A two-tower CLAP stand-in; the study trains two, for conditioning and for evaluation."""

    kind: Literal["clap"] = "clap"
    text: TextStage
    config: MiniClapConfig

    def run(self, folder: Path) -> None:
        """Train on all versions of the training clips; measure on those of validation."""
        from attm_companion.world.mini_clap import clap_quality, train_mini_clap

        generator = torch_generator(self.seed, "clap")
        mels, captions = self._captioned("train", VERSIONS)
        clap = train_mini_clap(mels, captions, self.text.encoder(), self.config, generator)
        save_module(folder / WEIGHTS, clap, clap.config)
        self._embed_all(clap, folder)
        held_out = self._captioned("valid", ("instrumental",))
        write_json(folder / QUALITY, clap_quality(clap, *held_out, generator))

    def _captioned(self, split: str, versions: Sequence[Version]) -> tuple[Tensor, list[str]]:
        mels, rows = self.spectrograms.of_split(split, versions)
        return mels, self.spectrograms.corpus.store().captions(np.concatenate(rows))

    def model(self) -> MiniClap:
        """The trained model."""
        from attm_companion.world.mini_clap import MiniClap

        make = partial(MiniClap, text_encoder=self.text.encoder())
        return load_module(self.artefact(WEIGHTS), MiniClapConfig, make)[0]


class MertStage(EncoderStage):
    """A self-supervised MERT stand-in, trained on training audio without labels."""

    kind: Literal["mert"] = "mert"
    config: MiniMertConfig

    def run(self, folder: Path) -> None:
        """Train, and probe how well the embedding tells the hidden production quality."""
        from attm_companion.world.mini_mert import train_mini_mert

        mels, _ = self.spectrograms.of_split("train", ("mix", "round_trip"))
        mert = train_mini_mert(mels, self.config, torch_generator(self.seed, "mert"))
        save_module(folder / WEIGHTS, mert, mert.config)
        write_json(folder / QUALITY, self._probe(self._embed_all(mert, folder)["mix"]))

    def model(self) -> MiniMert:
        """The trained model."""
        from attm_companion.world.mini_mert import MiniMert

        return load_module(self.artefact(WEIGHTS), MiniMertConfig, MiniMert)[0]

    def _probe(self, embedded: Tensor) -> dict[str, float]:
        """Linear probe of the hidden quality: fitted on training clips, read on held-out ones."""
        from attm_companion.world.mini_mert import probe_r2

        store = self.spectrograms.corpus.store()
        train = store.rows("train")[:N_PROBE]
        rows = np.concatenate([train, store.rows("valid"), store.rows("test")])
        quality = store.table["quality"].to_numpy()[rows]
        bands = self.spectrograms.mels("mix")[torch.from_numpy(rows)].float().mean(-1)
        return {
            "r2": probe_r2(embedded.numpy()[rows], quality, len(train)),
            "r2_log_mel": probe_r2(bands.numpy(), quality, len(train)),
        }


class OracleStage(Stage):
    """The oracle listener: trained on the world's truth, read by no training and no selection."""

    kind: Literal["oracle"] = "oracle"
    spectrograms: SpectrogramStage
    config: OracleConfig
    listeners: ListenerConfig
    seed: int

    def run(self, folder: Path) -> None:
        """Train on all versions of the training clips; measure on those held out."""
        from attm_companion.world.oracle import Taste, oracle_quality, train_oracle

        mels, table = self._labelled("train", VERSIONS)
        generator = torch_generator(self.seed, "oracle")
        oracle = train_oracle(mels, table, self.config, generator)
        save_module(folder / WEIGHTS, oracle, oracle.config)
        report: dict[str, Any] = {}
        for version in VERSIONS:
            parts = [self._labelled(split, (version,)) for split in ("valid", "test")]
            opinion = oracle.judge(torch.cat([mels for mels, _ in parts]))
            truth = pd.concat([table for _, table in parts])
            report[version] = oracle_quality(opinion, truth)
        write_json(folder / QUALITY, report)
        taste = Taste.of(self.spectrograms.corpus.store().table, self.listeners)
        write_json(folder / TASTE, asdict(taste))

    def _labelled(self, split: str, versions: Sequence[Version]) -> tuple[Tensor, pd.DataFrame]:
        """Spectrograms and the table row of each; a stem is sung by nobody."""
        mels, rows = self.spectrograms.of_split(split, versions)
        table = self.spectrograms.corpus.store().table
        parts = [
            table.iloc[of] if version == "mix" else table.iloc[of].assign(has_voice=False)
            for version, of in zip(versions, rows, strict=True)
        ]
        return mels, pd.concat(parts)

    def scores(self, waves: Tensor, captions: Sequence[str]) -> dict[str, Array]:
        """What it makes of waves (n, C, S) under captions of the corpus, each (n,).

        Returns:
            ``quality``, estimate of the hidden quality; ``utility``, what the clip is worth to the
            listeners on average, 0 for an ordinary clip under a random prompt; ``ccs``, share of
            the caption's concepts that it hears.
        """
        from attm_companion.world.mel_tower import listen
        from attm_companion.world.oracle import Taste, concepts_of
        from attm_core.evaluation.concept_coverage import concept_coverage

        corpus = self.spectrograms.corpus
        table, rate = corpus.store().table, corpus.sample_rate_hz
        tags_of = dict(zip(table["caption"], table["tags"], strict=True))
        tags = [str(tags_of[caption]) for caption in captions]
        opinion = self.model().judge(listen(waves.mean(dim=1), rate))
        taste = Taste(**read_json(self.artefact(TASTE)))
        wanted = [concepts_of(*both) for both in zip(captions, tags, strict=True)]
        return {
            "quality": opinion.quality,
            "utility": taste.utility(opinion.quality, opinion.fit(tags)),
            "ccs": concept_coverage(waves, rate, wanted, lambda *_: opinion.answers(wanted)),
        }

    def model(self) -> Oracle:
        """The trained oracle."""
        from attm_companion.world.oracle import Oracle

        return load_module(self.artefact(WEIGHTS), OracleConfig, Oracle)[0]
