"""The mini cast of the frozen roles, as stages: corpus, text encoder, codec, separator."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor

from attm_companion.arrays import Rows
from attm_companion.study.stage import Stage
from attm_companion.world import config as world
from attm_core import files
from attm_core.randomness import torch_generator
from attm_core.weights import load_module, save_module

if TYPE_CHECKING:
    from attm_companion.world.mini_codec import MiniCodec
    from attm_companion.world.minilm import MiniLM
    from attm_companion.world.store import ClipStore, Track
    from attm_core.generation.separation import DemucsSeparator

WEIGHTS = "model.safetensors"
QUALITY = "quality.json"
TEXT = "text.safetensors"
CAPTIONS = "captions.json"


class CorpusStage(Stage):
    """Scores to clips: arrangement, rendering, production, captions, splits."""

    version: ClassVar[str] = "4"
    kind: Literal["corpus"] = "corpus"
    config: world.CorpusConfig
    workers: int = 2

    def run(self, folder: Path) -> None:
        """Build the corpus and note its hash."""
        from attm_companion.world.build import build_corpus

        corpus = folder / "corpus"
        build_corpus(self.config, corpus, self.workers)
        paths = sorted(path for path in corpus.rglob("*") if path.is_file())
        hashes = [f"{files.sha256_file(path)}  {path.relative_to(corpus)}" for path in paths]
        files.write_text(folder / "data-hash.txt", "\n".join(hashes))

    def store(self) -> ClipStore:
        """The clips."""
        from attm_companion.world.store import ClipStore

        return ClipStore(self.artefact("corpus"))

    def data_hash(self) -> str:
        """SHA-256 over all arrays and tables of the corpus."""
        return self.artefact("data-hash.txt").read_text()

    @property
    def sample_rate_hz(self) -> int:
        """Rate of `waves`."""
        return self.config.sample_rate_hz

    def rows(self, split: str) -> Rows:
        """Row numbers of the clips of a split."""
        return self.store().rows(split)

    def waves(self, split: str, track: Track = "instrumental") -> Tensor:
        """All clips (B, 1, S) of a split."""
        return self.store().waves(track, self.rows(split))[:, None]

    def captions(self, split: str) -> list[str]:
        """Captions of a split, in the order of `waves`."""
        return self.store().captions(self.rows(split))


@cache
def _text_encoder(captions: Path, states: Path, n_tokens: int) -> MiniLM:
    """The one MiniLM of a process, knowing what a `TextStage` has read."""
    from attm_companion.world.minilm import MiniLM

    encoder = MiniLM(n_tokens)
    stored = files.load_tensors(states)
    encoder.remember(files.read_json(captions), stored["tokens"], stored["pooled"])
    return encoder


class TextStage(Stage):
    """MiniLM's token states and means of every caption, read once for all that need them."""

    kind: Literal["text"] = "text"
    corpus: CorpusStage
    n_tokens: int

    def run(self, folder: Path) -> None:
        """Read all captions."""
        from attm_companion.world.minilm import MiniLM

        captions = sorted({str(text) for text in self.corpus.store().table["caption"]})
        tokens, pooled = MiniLM(self.n_tokens).encode_both(captions)
        files.save_tensors(folder / TEXT, {"tokens": tokens, "pooled": pooled})
        files.write_json(folder / CAPTIONS, captions)

    def encoder(self) -> MiniLM:
        """MiniLM, which knows the captions already and reads any other text."""
        captions, states = (self.artefact(name) for name in (CAPTIONS, TEXT))
        return _text_encoder(captions, states, self.n_tokens)


class CodecStage(Stage):
    """The mel VAE and vocoder."""

    kind: Literal["codec"] = "codec"
    corpus: CorpusStage
    config: world.MiniCodecConfig
    seed: int

    def run(self, folder: Path) -> None:
        """Train on the instrumental training clips."""
        from attm_companion.world.mini_codec import train_mini_codec

        waves = self.corpus.waves("train")[:, 0]
        codec = train_mini_codec(waves, self.config, torch_generator(self.seed, "codec"))
        save_module(folder / WEIGHTS, codec, codec.config)

    def model(self) -> MiniCodec:
        """The trained codec."""
        from attm_companion.world.mini_codec import MiniCodec

        return load_module(self.artefact(WEIGHTS), world.MiniCodecConfig, MiniCodec)[0]


class SeparatorStage(Stage):
    """A small real Demucs model, trained on the corpus' stems."""

    kind: Literal["separator"] = "separator"
    corpus: CorpusStage
    config: world.MiniDemucsConfig
    training: world.MiniDemucsTraining
    seed: int

    def run(self, folder: Path) -> None:
        """Train on instrumental and sung stems of the training split; measure on validation."""
        from attm_companion.world import mini_separator as mini
        from attm_core.generation.separation import DemucsSeparator

        instrumental, vocals = self._stems("train")
        generator = torch_generator(self.seed, "separator")
        model = mini.train_mini_demucs(instrumental, vocals, generator, self.config, self.training)
        mini.save_mini_demucs(model, self.config, folder / WEIGHTS)
        quality = mini.separation_quality(DemucsSeparator(model), *self._stems("valid"))
        files.write_json(folder / QUALITY, quality)

    def model(self) -> DemucsSeparator:
        """The separator, run through ``demucs.apply``."""
        from attm_companion.world.mini_separator import load_mini_demucs

        return load_mini_demucs(self.artefact(WEIGHTS))

    def _stems(self, split: str) -> tuple[Tensor, Tensor]:
        return self.corpus.waves(split)[:, 0], self.corpus.waves(split, "vocals")[:, 0]
