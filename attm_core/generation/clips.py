"""From prompts to finished clips on disk: the whole of Section III-E, whoever plays the roles."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.audio import save_audio
from attm_core.backbone.config import Conditions
from attm_core.errors import InputError
from attm_core.evaluation.clap_score import cosine_per_item
from attm_core.files import write_json
from attm_core.generation.loudness import LoudnessReport
from attm_core.generation.postprocess import postprocess
from attm_core.generation.sampler import (
    GenerationConfig,
    LatentModel,
    generate_latents,
    initial_noise,
    prompt_seeds,
)
from attm_core.progress import track
from attm_core.protocols import ClapModel, Codec, Separator

MAX_PROMPT_CHARACTERS = 2000
MAX_SEED = 2**63 - 1
DECODE_BATCH = 16
SLUG_CHARACTERS = 40
CPU = torch.device("cpu")

RewardFunction = Callable[[Tensor, int, Sequence[str]], Sequence[float]]


@dataclass(frozen=True)
class Heard:
    """What the judges say of a clip: calibrated reward, and CLAP score if there was a prompt."""

    reward: float
    clap: float | None


@dataclass(frozen=True)
class Listener:
    """The judges of Section IV.

    Attributes:
        clap: the evaluation CLAP model, not the one that conditions the backbone.
        reward: (waves (B, S), rate in Hz, prompts) → rewards (B,); ``""`` stands for no prompt.
    """

    clap: ClapModel
    reward: RewardFunction

    def listen(
        self, waves: Float[Tensor, "B S"], sample_rate_hz: int, prompts: Sequence[str]
    ) -> list[Heard]:
        """Score B clips under their prompts as the user wrote them, without the prefix."""
        rewards = [float(value) for value in self.reward(waves, sample_rate_hz, prompts)]
        audio = self.clap.embed_audio(waves, sample_rate_hz)
        cosines = cosine_per_item(self.clap.embed_text(prompts), audio)
        return [
            Heard(reward, float(cosine) if prompt else None)
            for reward, cosine, prompt in zip(rewards, cosines, prompts, strict=True)
        ]


@dataclass(frozen=True)
class Cast:
    """Who plays which role when prompts become clips.

    Attributes:
        backbone: the velocity field, ready for sampling.
        latent_shape: (N, C) of its latents.
        encode_text: texts to the backbone's conditions.
        codec: latents to waves.
        separator: for post-processing.
        listener: None if nobody can judge (untrained weights).
        uid: identity of the weights, for the record.
        device: where the backbone is.
    """

    backbone: LatentModel
    latent_shape: tuple[int, int]
    encode_text: Callable[[list[str]], Conditions]
    codec: Codec
    separator: Separator
    listener: Listener | None
    uid: str
    device: torch.device = CPU


@dataclass(frozen=True)
class Request:
    """What to generate and how; the fields of Section III-E(a).

    Raises:
        InputError: no prompt, an empty or over-long one, a seed or a scale out of range.
    """

    prompts: tuple[str, ...]
    config: GenerationConfig
    seed: int
    prefix: str
    negative: str | None = None
    post: bool = True

    def __post_init__(self) -> None:
        if not self.prompts:
            raise InputError("give at least one prompt")
        for text in (*self.prompts, self.negative or "-"):
            check_prompt(text)
        if not 0 <= self.seed <= MAX_SEED - len(self.prompts):
            raise InputError(f"seed {self.seed} is not in 0 … 2^63 − 1")
        if not all(math.isfinite(value) for value in (self.config.s or 0.0, self.config.w)):
            raise InputError(f"s and w must be finite, got {self.config.s} and {self.config.w}")

    def settings(self) -> dict[str, Any]:
        """All but the prompts, for a record."""
        return {
            "s": self.config.s,
            "w": self.config.w,
            "n_steps": self.config.n_steps,
            "prefix": self.prefix,
            "negative_prompt": self.negative,
            "postprocessed": self.post,
        }


@dataclass(frozen=True)
class Clip:
    """One finished clip (S,) and all that is known about it."""

    prompt: str
    seed: int
    wave: Float[Tensor, " S"]
    loudness: LoudnessReport | None = None
    heard: Heard | None = None

    def facts(self) -> dict[str, Any]:
        """The clip's part of a record; levels of silence (−∞) become None."""
        loudness = asdict(self.loudness) if self.loudness else None
        return {
            "prompt": self.prompt,
            "seed": self.seed,
            "reward": self.heard.reward if self.heard else None,
            "clap_score": self.heard.clap if self.heard else None,
            "loudness": {key: _finite(value) for key, value in loudness.items()}
            if loudness
            else None,
        }


def check_prompt(text: str) -> str:
    """Return a prompt that has words and at most 2000 characters.

    Raises:
        InputError: it has none, or more.
    """
    if not text.strip():
        raise InputError("a prompt is empty; write what the music should sound like")
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise InputError(
            f"a prompt has {len(text)} characters; at most {MAX_PROMPT_CHARACTERS} are allowed"
        )
    return text


def make_clips(request: Request, cast: Cast) -> list[Clip]:
    """Sample, decode, post-process and judge one clip a prompt.

    Raises:
        InputError: the model gave NaN or infinite samples.
    """
    seeds = prompt_seeds(request.seed, len(request.prompts))
    waves = _decode(_sample(request, cast, seeds), cast.codec)
    rate = cast.codec.sample_rate_hz
    reports: Sequence[LoudnessReport | None] = [None] * len(waves)
    if request.post:
        waves, reports = postprocess(waves, rate, cast.separator)
    heard: Sequence[Heard | None] = [None] * len(waves)
    if cast.listener is not None:
        heard = cast.listener.listen(waves, rate, request.prompts)
    columns = zip(request.prompts, seeds, waves, reports, heard, strict=True)
    return [Clip(*row) for row in columns]


def _sample(request: Request, cast: Cast, seeds: Sequence[int]) -> Tensor:
    conditions = cast.encode_text([request.prefix + prompt for prompt in request.prompts])
    negative = None
    if request.negative is not None:
        negative = cast.encode_text([request.negative]).repeat(len(seeds))
    noise = initial_noise(seeds, cast.latent_shape)
    config = replace(request.config, device=cast.device, bf16=cast.device.type != "cpu")
    return generate_latents(cast.backbone, conditions, config, noise, negative)


def _decode(latents: Tensor, codec: Codec) -> Tensor:
    parts = latents.split(DECODE_BATCH)
    waves = torch.cat([codec.decode(p) for p in track(parts, f"decoding {len(latents)} clips")])
    if not torch.isfinite(waves).all():
        raise InputError("the model gave NaN or infinite samples; try a smaller w")
    return waves


def write_clips(
    folder: Path, clips: Sequence[Clip], sample_rate_hz: int, record: dict[str, Any]
) -> list[Path]:
    """Write each clip as ``<words>-<hash>.wav`` with ``<words>-<hash>.json`` beside it.

    The hash covers prompt, seed and ``record``: the same request gives the same names, another
    request never overwrites them. The JSON is written after its WAV, so a record has its audio.

    Args:
        folder: where; made if missing.
        clips: what ``make_clips`` gave.
        sample_rate_hz: their rate.
        record: settings and identity of the weights; JSON values.

    Returns:
        The WAV paths.

    Raises:
        InputError: ``folder`` is a file.
    """
    check_folder(folder)
    paths = []
    for clip in clips:
        path = folder / f"{_stem(clip, record)}.wav"
        # Without loudness normalisation a sample may exceed ±1, which 16-bit files clip.
        paths.append(save_audio(path, clip.wave[None], sample_rate_hz, "PCM_16"))
        facts = {**record, **clip.facts(), "sample_rate_hz": sample_rate_hz, "file": path.name}
        write_json(path.with_suffix(".json"), facts)
    return paths


def check_folder(folder: Path) -> Path:
    """Return ``folder`` if files can be put there.

    Raises:
        InputError: it, or a parent of it, is a file.
    """
    for place in (folder, *folder.parents):
        if place.exists():
            if not place.is_dir():
                raise InputError(f"{place} is a file; name a folder with --out")
            break
    return folder


def _stem(clip: Clip, record: dict[str, Any]) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", clip.prompt.lower()).strip("-")[:SLUG_CHARACTERS]
    identity = json.dumps([clip.prompt, clip.seed, record], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return f"{words.strip('-') or 'clip'}-{digest}"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
