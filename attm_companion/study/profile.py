"""A profile: every size, seed and rate of a study, read from ``profiles/<name>.yaml``.

Numbers live in the YAML file; unknown keys are errors. The mini profile's file is part of the
study's protocol: it is fixed before the first full run and changed only with a dated reason.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from attm_companion.study.launch import Launch
from attm_companion.world.config import CorpusConfig
from attm_companion.world.mini_clap import MiniClapConfig
from attm_companion.world.mini_codec import MiniCodecConfig
from attm_companion.world.mini_mert import MiniMertConfig
from attm_companion.world.mini_separator import MiniDemucsConfig, MiniDemucsTraining
from attm_companion.world.oracle import OracleConfig
from attm_companion.world.preferences import PreferenceConfig
from attm_core.codec.mmaudio_vae import MMAudioVAEConfig
from attm_core.data.jamendo import WindowConfig
from attm_core.encoders.laion_clap_network import ClapArchitecture
from attm_core.errors import ConfigError
from attm_core.generation.pipeline import GenerationConfig
from attm_core.ranker.training import RankerTrainingConfig
from attm_core.training.optimisation import OptimConfig

HeadName = Literal[
    "none", "global_adaln", "input_add", "audio_prepend", "per_block_adaln", "text_prepend"
]


class Section(pydantic.BaseModel):
    """Base of the parts of a profile: no unknown key, no change after reading."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Backbone(Section):
    """Size of FluxAudio and of the score embedding."""

    n_heads: int
    head_width: int
    n_joint_blocks: int
    n_fused_blocks: int
    ffn_multiple: int
    score_bandwidth: float


class Training(Section):
    """Length and rate of one training run."""

    n_steps: int
    batch_size: int
    lr: float
    warmup_steps: int = 0
    schedule: Literal["as_written", "as_released"] = "as_written"
    save_every: int
    precision: Literal["fp32", "bf16"] = "bf16"

    def optim(self) -> OptimConfig:
        """The optimiser's configuration; clipping and betas as published."""
        return OptimConfig(
            lr=self.lr,
            warmup_steps=self.warmup_steps,
            schedule=self.schedule,
            precision=self.precision,
        )


class ExpertIteration(Section):
    """Section III-D(c)."""

    n_samples: int
    n_keep: int
    s: float
    oversample: int
    finetune: Training
    polish: Training


class Crpo(Section):
    """Section III-D(d)."""

    n_prompts: int
    n_per_prompt: int
    s: float
    beta: float
    lambda_fm: float
    training: Training


class Generation(Section):
    """Section III-E; ``seeds`` begins with Sub. 1's."""

    s: float
    w: float
    n_steps: int
    prefix: str
    seeds: tuple[int, ...]
    sub2_seed: int
    batch_size: int
    n_listening: int
    n_prompts: int = 0  # 0: all of the split

    def config(self, s: float | None) -> GenerationConfig:
        """How clips are generated at a score."""
        return GenerationConfig(
            s=s, w=self.w, n_steps=self.n_steps, prefix=self.prefix, batch_size=self.batch_size
        )


class Sweep(Section):
    """Fig. 2, and the bandwidths shown beside it."""

    scores: tuple[float, ...]
    bandwidths: tuple[float, ...]
    bandwidth_scores: tuple[float, ...]


class Ranker(Section):
    """Section III-C: a ranker's score is the mean over ``n_heads`` heads."""

    hidden: tuple[int, ...]
    n_heads: int
    training: RankerTrainingConfig
    reward_mean: float
    reward_std: float


class MiniCast(Section):
    """The stand-ins: what the frozen roles are trained on, how large they are and for how long."""

    kind: Literal["mini"] = "mini"
    text_tokens: int
    bleed_db: float
    corpus: CorpusConfig
    clap: MiniClapConfig
    mert: MiniMertConfig
    codec: MiniCodecConfig
    separator: MiniDemucsConfig
    separator_training: MiniDemucsTraining
    preferences: PreferenceConfig
    ranker: Ranker
    oracle: OracleConfig


class PaperCast(Section):
    """The published models and data sets: which files they are is in the asset manifest."""

    kind: Literal["paper"] = "paper"
    n_samples: int
    windows: WindowConfig
    shard_size: int
    clap: ClapArchitecture
    vae: MMAudioVAEConfig


class Resources(Section):
    """Where each kind of work runs and with how much; none of it changes a result.

    ``jobs`` stages run at a time (the number of cores if None), each with ``threads`` threads.
    """

    jobs: int | None = None
    threads: int = 1
    data: Launch = Launch()
    training: Launch = Launch()
    generation: Launch = Launch()


class Profile(Section):
    """All of it."""

    name: str
    seed: int
    cast: Annotated[MiniCast | PaperCast, pydantic.Field(discriminator="kind")]
    resources: Resources = Resources()
    backbone: Backbone
    sft: Training
    expert: ExpertIteration
    crpo: Crpo
    generation: Generation
    sweep: Sweep


def profile_names() -> list[str]:
    """Names of the profiles that come with the package."""
    folder = resources.files("attm_companion.study") / "profiles"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml"))


@cache
def load_profile(name: str) -> Profile:
    """Read a profile by its name, or from a YAML file of one's own.

    Raises:
        ConfigError: no such profile, not YAML, or an unknown, missing or ill-typed key.
    """
    try:
        raw: Any = yaml.safe_load(_profile_text(name))
        return Profile.model_validate(raw)
    except (OSError, UnicodeError, yaml.YAMLError, pydantic.ValidationError) as error:
        raise ConfigError(f"profile {name!r}: {error}") from error


def _profile_text(name: str) -> str:
    if name.endswith((".yaml", ".yml")):
        return Path(name).read_text(encoding="utf-8")
    file = resources.files("attm_companion.study") / "profiles" / f"{name}.yaml"
    if not file.is_file():
        listed = ", ".join(profile_names())
        raise ConfigError(
            f"no profile {name!r}; there are: {listed}, or give the path of a .yaml file"
        )
    return file.read_text(encoding="utf-8")
