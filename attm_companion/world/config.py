"""What a corpus of rendered scores is made of: the fields that fix every sample of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from attm_core.errors import ConfigError

SPLITS = ("train", "valid", "test", "reference", "prompts")


@dataclass(frozen=True)
class CorpusConfig:
    """Sizes, seed and limits of a corpus; the defaults are the ``mini`` profile's.

    Attributes:
        n_pieces: scores to read, spread over the kinds of `corpus.scores`.
        n_train: clips of the train split.
        n_valid: clips of the validation split.
        n_test: clips of the test split.
        n_reference: clips of the curated, instrumental reference split (SDD in the paper).
        n_prompts: clips of the instrumental split whose captions serve as evaluation prompts.
        sample_rate_hz: rate of all audio, Hz.
        n_samples: length of every clip in samples.
        voice_share: fraction of the clips of train, valid and test that have a sung part.
        seed: seed of every draw.
        parse_limit_s: longest time a score may take to read, in seconds.
        render_limit_s: longest time a clip may take to render, in seconds.
    """

    n_pieces: int = 460
    n_train: int = 2300
    n_valid: int = 100
    n_test: int = 100
    n_reference: int = 400
    n_prompts: int = 100
    sample_rate_hz: int = 16_000
    n_samples: int = 65_536
    voice_share: float = 0.44
    seed: int = 42
    parse_limit_s: float = 120.0
    render_limit_s: float = 20.0

    def __post_init__(self) -> None:
        for name in ("n_pieces", *(f"n_{split}" for split in SPLITS)):
            _require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        _require(self.n_pieces >= 20, "n_pieces", "at least 20", self.n_pieces)
        _require(
            8_000 <= self.sample_rate_hz <= 48_000,
            "sample_rate_hz",
            "8000 to 48000 Hz",
            self.sample_rate_hz,
        )
        _require(1.0 <= self.duration_s <= 30.0, "n_samples", "1 to 30 s long", self.n_samples)
        _require(0.0 <= self.voice_share <= 1.0, "voice_share", "in [0, 1]", self.voice_share)
        _require(self.seed >= 0, "seed", "at least 0", self.seed)
        for name in ("parse_limit_s", "render_limit_s"):
            _require(getattr(self, name) > 0, name, "positive", getattr(self, name))

    @property
    def duration_s(self) -> float:
        """Length of a clip in seconds."""
        return self.n_samples / self.sample_rate_hz

    @property
    def split_sizes(self) -> dict[str, int]:
        """Clips of each split, in the order of `SPLITS`."""
        return {split: int(getattr(self, f"n_{split}")) for split in SPLITS}

    @property
    def n_clips(self) -> int:
        """Clips of all splits together."""
        return sum(self.split_sizes.values())

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for a manifest."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CorpusConfig:
        """Build from plain values.

        Raises:
            ConfigError: an unknown field or a value out of range.
        """
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ConfigError(f"unknown corpus fields {sorted(unknown)}")
        return cls(**values)


def _require(holds: bool, name: str, rule: str, value: object) -> None:
    if not holds:
        raise ConfigError(f"corpus field {name} must be {rule}, got {value!r}")
