"""What a corpus of rendered scores is made of: the fields that fix every sample of it."""

from __future__ import annotations

from dataclasses import dataclass

from attm_core.errors import ConfigError

SPLITS = ("train", "valid", "test", "reference", "prompts")


@dataclass(frozen=True)
class CorpusConfig:
    """Sizes, seed and limits of a corpus; the defaults are the ``mini`` profile's."""

    n_pieces: int = 460  # scores to read, spread over the kinds of `sheet_music.KINDS`
    n_train: int = 2300  # clips of each split
    n_valid: int = 100
    n_test: int = 100
    n_reference: int = 400  # curated and instrumental, as SDD is in the paper
    n_prompts: int = 100  # instrumental; their captions serve as evaluation prompts
    sample_rate_hz: int = 16_000
    n_samples: int = 65_536  # of every clip
    voice_share: float = 0.44  # of the clips of train, valid and test: those with a sung part
    seed: int = 42  # of every draw
    parse_limit_s: float = 120.0  # longest time a score may take to read
    render_limit_s: float = 20.0  # longest time a clip may take to render

    def __post_init__(self) -> None:
        rules = {
            **{f"n_{split}": (size >= 1, "at least 1") for split, size in self.split_sizes.items()},
            "n_pieces": (self.n_pieces >= 20, "at least 20"),
            "sample_rate_hz": (8_000 <= self.sample_rate_hz <= 48_000, "8000 to 48000 Hz"),
            "n_samples": (1.0 <= self.duration_s <= 30.0, "1 to 30 s long"),
            "voice_share": (0.0 <= self.voice_share <= 1.0, "in [0, 1]"),
            "seed": (self.seed >= 0, "at least 0"),
            "parse_limit_s": (self.parse_limit_s > 0, "positive"),
            "render_limit_s": (self.render_limit_s > 0, "positive"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise ConfigError(f"corpus field {name} must be {rule}, got {getattr(self, name)}")

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
