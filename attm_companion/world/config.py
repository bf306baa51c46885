"""Sizes and training of all that the miniature is made of: its corpus, its encoders, its codec."""

import math
from dataclasses import dataclass, field
from typing import Literal

from attm_core.codec.mel import MEL_16K_MINI
from attm_core.errors import ConfigError

MANIFEST = "corpus.json"
TABLE = "clips.parquet"
TRACKS = ("mix", "instrumental", "vocals")
FULL_SCALE = 32767
PATCH = 4  # mel bands and frames that the tower takes as one
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


@dataclass(frozen=True)
class FitConfig:
    """How long and how fast to train: AdamW under a one-cycle schedule, for about a minute."""

    steps: int
    batch_size: int = 64
    learning_rate: float = 2e-3  # peak; linear warm-up, then half a cosine to zero
    weight_decay: float = 0.01
    warmup_fraction: float = 0.1
    max_grad_norm: float = 1.0  # gradients are scaled down to it
    bf16: bool = True  # autocast of the forward pass, where the processor is fast at it

    def rate_factor(self, step: int) -> float:
        """Learning rate at ``step`` as a share of the peak, in (0, 1]."""
        warmup = max(1, round(self.warmup_fraction * self.steps))
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup))


@dataclass(frozen=True)
class MelTowerConfig:
    """Size of the tower."""

    # Width of each level; the first works on 4 × 4 mel patches, each further level on half the
    # bands and half the frames.
    channels: tuple[int, ...] = (32, 64, 128)
    blocks: int = 1  # residual blocks a level

    @property
    def width(self) -> int:
        """Width of the pooled output: channels × remaining bands, mean and maximum."""
        bands = MEL_16K_MINI.n_mels // (PATCH << (len(self.channels) - 1))
        return 2 * bands * self.channels[-1]


@dataclass(frozen=True)
class GriffinLimConfig:
    """Effort of the phase search."""

    n_iterations: int = 10  # projections; sound improves slowly beyond sixteen
    momentum: float = 0.99  # acceleration in [0, 1); 0 is the plain algorithm
    n_inversion_steps: int = 20  # multiplicative updates of the linear magnitudes


@dataclass(frozen=True)
class MiniCodecConfig:
    """Size and training of the codec."""

    n_samples: int = 65_536  # S of a clip at 16 kHz; a multiple of 8 mel hops
    n_channels: int = 32  # C of a latent
    widths: tuple[int, int] = (192, 384)  # at a quarter and an eighth of the mel frame rate
    blocks: int = 2  # residual blocks at each of the two rates
    kl_weight: float = 1e-3  # of the mean KL per latent value against the mean L1 per mel value
    crop_frames: int = 128  # training sees random windows of this many mel frames
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=900, batch_size=64))
    vocoder: GriffinLimConfig = field(default_factory=GriffinLimConfig)


@dataclass(frozen=True)
class MiniClapConfig:
    """Size and training of the model."""

    width: int = 128  # P, of the common space
    hidden: int = 256  # of the hidden layer of both projections
    text_width: int = 384  # of the sentence vectors
    tower: MelTowerConfig = field(default_factory=MelTowerConfig)
    crop_frames: int = 128  # training sees random windows of this many mel frames
    temperature: float = 0.07  # starting value; learnt
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=400, batch_size=128))


@dataclass(frozen=True)
class MiniMertConfig:
    """Size and training of the encoder."""

    projection: int = 128  # width of the space of the contrast, which training alone uses
    tower: MelTowerConfig = field(default_factory=MelTowerConfig)
    crop_frames: int = 96  # of a window; two of them fit into a clip without overlap
    temperature: float = 0.1  # of the contrast
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=300, batch_size=96))

    @property
    def width(self) -> int:
        """Of the embedding: the tower's own."""
        return self.tower.width


@dataclass(frozen=True)
class MiniDemucsConfig:
    """Shape of the model.

    ``segment_s`` is what ``apply_model`` feeds at once; 0.75 of it covers a clip of 4.096 s: a clip
    is one segment. ``domain`` has one value and is part of a trained model's identity.
    """

    channels: int = 24  # of the first layer, doubled at each of the next
    depth: int = 3  # layers down and up
    stride: int = 8  # samples (then frames) per step of each layer; kernels are twice as long
    sample_rate_hz: int = 16000
    segment_s: float = 5.5
    domain: Literal["waveform"] = "waveform"


@dataclass(frozen=True)
class MiniDemucsTraining:
    """How the model is trained."""

    n_steps: int = 500
    batch_size: int = 8  # mixtures
    crop_samples: int = 32768  # of a mixture
    learning_rate: float = 4e-3  # peak, after the warm-up; a cosine takes it to 2 %
    warmup_steps: int = 30  # linear
    voice_share: float = 0.65  # of the mixtures: those with a voice
    voice_db: tuple[float, float] = (-10.0, 6.0)  # range of its level against the instruments

    def rate(self, step: int) -> float:
        """Learning rate of an update, counted from 0."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        cosine = 0.51 + 0.49 * math.cos(math.pi * step / self.n_steps)
        return self.learning_rate * (warm * cosine)


@dataclass(frozen=True)
class OracleConfig:
    """Size and training of the oracle: tower, frames of a training window, optimisation."""

    tower: MelTowerConfig = field(default_factory=MelTowerConfig)
    crop_frames: int = 192
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=300, batch_size=96))
