"""A profile: every size, seed and rate of a study, read from ``profiles/<name>.yaml``.

Numbers live in the YAML file; its sections are the configurations of the procedures themselves.
Unknown or repeated keys and senseless values are errors. The mini profile's file is part of the
study's protocol: it is fixed before the first full run and changed only with a dated reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from attm_companion.strict_yaml import parse_yaml
from attm_companion.study.launch import Launch
from attm_companion.world import config as world
from attm_companion.world.listeners import PreferenceConfig
from attm_core import configuration as core
from attm_core.backbone.config import FluxAudioConfig
from attm_core.constants import PAPER_HIDDEN, PROMPT_PREFIX
from attm_core.errors import ConfigError

Count = Annotated[int, pydantic.Field(ge=1, le=10**9)]
CountOr0 = Annotated[int, pydantic.Field(ge=0, le=10**9)]
Seed = Annotated[int, pydantic.Field(ge=0, lt=2**63)]
Number = Annotated[float, pydantic.Field(gt=-1e6, lt=1e6)]
Positive = Annotated[float, pydantic.Field(gt=0, lt=1e6)]

# What the backbone takes from the data and from the stage, and no profile can say.
IMPOSED = ("n_channels", "n_latents", "n_tokens", "token_width", "pooled_width", "score_head")
# How the names of fields begin that count something, wherever they are.
COUNTS = ("n_", "batch_size", "steps", "max_", "widths", "hidden", "depth", "channels", "width")


class Section(pydantic.BaseModel):
    """Base of the parts of a profile: no unknown key, no NaN, no change after reading."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Generation(Section):
    """Section III-E; ``seeds`` begins with Sub. 1's."""

    s: Number = core.GenerationConfig.s or 0.0
    w: Number = core.GenerationConfig.w
    n_steps: Annotated[int, pydantic.Field(ge=1, le=10_000)] = core.GenerationConfig.n_steps
    prefix: str = PROMPT_PREFIX
    seeds: Annotated[tuple[Seed, ...], pydantic.Field(min_length=2)]
    sub2_seed: Seed
    batch_size: Count
    n_listening: CountOr0
    n_prompts: CountOr0 = 0  # 0: all of the split

    @pydantic.model_validator(mode="after")
    def _seeds_differ(self) -> Generation:
        if len(set(self.seeds)) < len(self.seeds) or self.sub2_seed not in self.seeds[1:]:
            raise ConfigError("seeds must differ, and sub2_seed be one of them after the first")
        return self

    def config(self, s: float | None) -> core.GenerationConfig:
        """How clips are generated at a score."""
        return core.GenerationConfig(
            s=s, w=self.w, n_steps=self.n_steps, prefix=self.prefix, batch_size=self.batch_size
        )


class Sweep(Section):
    """Fig. 2, and the bandwidths shown beside it."""

    scores: Annotated[tuple[Number, ...], pydantic.Field(min_length=2)]
    bandwidths: tuple[Positive, ...]
    bandwidth_scores: Annotated[tuple[Number, ...], pydantic.Field(min_length=2)]


class Ranker(Section):
    """Section III-C: a ranker's score is the mean over ``n_heads`` heads."""

    # MINI-WORLD: the paper's ranker has one head. Trained on a few thousand votes, one differs
    # from the next by its seed; a mean of several does so less.
    hidden: Annotated[tuple[Count, ...], pydantic.Field(min_length=1)]
    n_heads: Count
    training: core.RankerTrainingConfig
    reward_mean: Number
    reward_std: Positive


class MiniCast(Section):
    """The stand-ins: what the frozen roles are trained on, how large they are and for how long."""

    kind: Literal["mini"] = "mini"
    text_tokens: Count
    bleed_db: Number
    corpus: world.CorpusConfig
    clap: world.MiniClapConfig
    mert: world.MiniMertConfig
    codec: world.MiniCodecConfig
    separator: world.MiniDemucsConfig
    separator_training: world.MiniDemucsTraining
    preferences: PreferenceConfig
    ranker: Ranker
    oracle: world.OracleConfig


class Votes(Section):
    """Section III-C where the published votes are on this machine: the released recipe.

    ``songeval_pairs`` are made of its ratings before the split lists drop some.
    """

    hidden: Annotated[tuple[Count, ...], pydantic.Field(min_length=1)] = PAPER_HIDDEN
    training: core.RankerTrainingConfig = core.RankerTrainingConfig()
    songeval_pairs: Count = 3760


class PaperCast(Section):
    """The published models and data sets: which files they are is in the asset manifest."""

    kind: Literal["paper"] = "paper"
    n_samples: Count
    windows: core.WindowConfig
    shard_size: Count
    clap: core.ClapArchitecture
    vae: core.MMAudioVAEConfig
    votes: Votes = Votes()


class Resources(Section):
    """Where each kind of work runs and with how much; none of it changes a result.

    ``jobs`` stages run at a time (the number of cores if None), each with ``threads`` threads.
    """

    jobs: Count | None = None
    threads: Count = 1
    data: Launch = Launch()
    training: Launch = Launch()
    generation: Launch = Launch()


class Profile(Section):
    """All of it."""

    name: Annotated[str, pydantic.Field(pattern=r"^[a-z0-9][a-z0-9_.+=-]{0,127}$")]
    seed: Seed
    cast: Annotated[MiniCast | PaperCast, pydantic.Field(discriminator="kind")]
    resources: Resources = Resources()
    backbone: FluxAudioConfig
    sft: core.SFTConfig
    expert: core.ExpertIterationConfig
    crpo: core.CRPOConfig
    generation: Generation
    sweep: Sweep

    @pydantic.model_validator(mode="after")
    def _sizes_are_sensible(self) -> Profile:
        for place, value in places(self.model_dump(exclude={"resources", "generation"})):
            numbers = value if isinstance(value, list | tuple) else (value,)
            small = [n for n in numbers if isinstance(n, int | float) and n <= 0]
            if small and place.rpartition(".")[2].startswith(COUNTS):
                raise ConfigError(f"{place} must be > 0, not {small[0]}")
        defaults = {item.name: item.default for item in fields(FluxAudioConfig)}
        for name in IMPOSED:
            if getattr(self.backbone, name) != defaults[name]:
                raise ConfigError(f"backbone.{name} follows from the data and cannot be set")
        return self


def places(raw: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a dumped profile with its place, such as ``crpo.beta``."""
    for name, value in raw.items():
        if isinstance(value, dict):
            yield from places(value, f"{start}{name}.")
        else:
            yield start + name, value


def profile_names() -> list[str]:
    """Names of the profiles that come with the package."""
    folder = resources.files("attm_companion.study") / "profiles"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml"))


def load_profile(name: str) -> Profile:
    """Read a profile by its name, or from a YAML file of one's own.

    Raises:
        ConfigError: no such profile, not YAML, an unknown, missing, repeated or ill-typed key, or
            a value out of range; or a file of one's own that takes the name of one of ours.
    """
    return _load(name) if name.endswith((".yaml", ".yml")) else _load_ours(name)


def _load(name: str) -> Profile:
    text = _profile_text(name)
    try:
        profile = Profile.model_validate(parse_yaml(text, name))
    except pydantic.ValidationError as error:
        raise ConfigError(f"profile {name!r}: {in_one_line(error)}") from error
    except ConfigError as error:
        raise ConfigError(f"profile {name!r}: {error}") from error
    if profile.name in profile_names() and profile.name != name:
        ours = load_profile(profile.name).model_copy(update={"resources": profile.resources})
        if profile != ours:
            raise ConfigError(f"profile {name!r} differs from our {ours.name!r}: choose a new name")
    return profile


_load_ours = cache(_load)


def in_one_line(error: pydantic.ValidationError) -> str:
    """The first three complaints, each with the place of its field."""
    said = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}".lstrip(": ") for e in error.errors()]
    return "; ".join(said[:3]) + (f"; and {len(said) - 3} more" if len(said) > 3 else "")


def _profile_text(name: str) -> str:
    if name.endswith((".yaml", ".yml")):
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:  # not UTF-8 is a ValueError, too
            raise ConfigError(f"profile {name!r}: {error}") from error
    file = resources.files("attm_companion.study") / "profiles" / f"{name}.yaml"
    if not file.is_file():
        listed = ", ".join(profile_names())
        raise ConfigError(
            f"no profile {name!r}; there are: {listed}, or give the path of a .yaml file"
        )
    return file.read_text(encoding="utf-8")
