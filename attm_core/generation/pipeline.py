"""From prompts to finished clips (Section III-E): text → latents → waves → post-processing.

    clips = generate(model, ["calm piano"], GenerationConfig(s=5.0), networks, [42])

The study's conditions, the sampling of Stages 2 and 3, the command line and the notebooks all call
``generate``. Audio is (B, C, S) throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.audio import fit_length, resample
from attm_core.backbone.config import Conditions
from attm_core.configuration import GenerationConfig, check_prompt
from attm_core.errors import ConfigError, InputError
from attm_core.generation.guidance import VelocityModel, guide
from attm_core.generation.loudness import LoudnessReport, normalize_loudness
from attm_core.generation.sampler import euler_sample, initial_noise
from attm_core.generation.separation import remove_vocals
from attm_core.precision import fast_autocast
from attm_core.progress import track
from attm_core.protocols import Codec, Separator

_SEPARATION_BATCH = 4  # stays in cache: faster on a CPU than larger ones


@dataclass(frozen=True)
class FixedNetworks:
    """The networks around the backbone; ``separator`` may be None where nothing is separated."""

    encode_text: Callable[[list[str]], Conditions]
    codec: Codec
    separator: Separator | None = None


@dataclass(frozen=True)
class Clips:
    """B generated clips."""

    prompts: tuple[str, ...]  # as the user wrote them, without the prefix
    seeds: tuple[int, ...]  # noise seed of each
    latents: Float[Tensor, "B N C"]  # at the codec's scale
    waves: Float[Tensor, "B C S"]  # finished
    sample_rate_hz: int
    loudness: tuple[LoudnessReport | None, ...]  # None where loudness was left alone

    def __len__(self) -> int:
        return len(self.prompts)


# no_grad and not inference_mode: what a model caches while it samples must stay usable in training.
@torch.no_grad()
def generate(
    model: VelocityModel,
    prompts: Sequence[str],
    config: GenerationConfig,
    networks: FixedNetworks,
    seeds: Sequence[int],
) -> Clips:
    """Generate one clip per prompt, of B texts without the prefix; equal ones are encoded once.

    ``model`` is in evaluation mode, its null text tells the device to sample on. ``seeds`` are one
    per prompt, see ``sampler.prompt_seeds``.

    Raises:
        InputError: no or an unusable prompt, a wrong number of seeds, or NaN or infinite samples.
        ConfigError: separation is wanted without a separator.
    """
    sizes = len(prompts), len(seeds)
    if not prompts or sizes[0] != sizes[1]:
        raise InputError(f"give at least one prompt and a seed for each, got {sizes}")
    texts = [config.prefix + check_prompt(prompt) for prompt in prompts]
    codec = networks.codec
    noise = initial_noise(seeds, (codec.n_latents, codec.n_channels))
    conditions = encode_distinct(networks.encode_text, texts)
    other = config.negative_prompt
    negative = None if other is None else networks.encode_text([other]).repeat(len(texts))
    latents = generate_latents(model, conditions, config, noise, negative)
    parts = track(latents.split(config.batch_size), f"decoding {len(latents)} clips")
    waves = torch.cat([codec.decode(part) for part in parts])
    if not torch.isfinite(waves).all():
        raise InputError("the model gave NaN or infinite samples; try a smaller w")
    rate = codec.sample_rate_hz
    finished, reports = postprocess(waves, rate, networks.separator, config)
    return Clips(tuple(prompts), tuple(seeds), latents, finished, rate, tuple(reports))


def encode_distinct(
    encode_text: Callable[[list[str]], Conditions], texts: Sequence[str]
) -> Conditions:
    """Conditions of all texts, each distinct one encoded once."""
    distinct = list(dict.fromkeys(texts))
    row_of = {text: row for row, text in enumerate(distinct)}
    return encode_text(distinct)[[row_of[text] for text in texts]]


@torch.no_grad()
def generate_latents(
    model: VelocityModel,
    conditions: Conditions,
    config: GenerationConfig,
    noise: Float[Tensor, "B N C"],
    negative: Conditions | None = None,
) -> Float[Tensor, "B N C"]:
    """One un-normalised latent (float32) per prompt by guided Euler steps from ``noise``.

    ``negative`` are conditions of a negative prompt for B prompts, in place of ∅_t.

    Raises:
        InputError: conditions, noise or negative differ in batch size.
    """
    n = len(noise)
    for name, given in (("conditions", conditions), ("negative", negative)):
        if given is not None and len(given) != n:
            raise InputError(f"{name} hold {len(given)} prompts but noise {n}")
    device = model.null_conditions(1).pooled.device
    drawn = [torch.empty_like(noise[:0])]
    for start in track(range(0, n, config.batch_size), f"sampling {n} latents"):
        rows = slice(start, start + config.batch_size)
        x_1 = noise[rows].to(device)
        null = None if negative is None else negative[rows].to(device)
        s = None if config.s is None else x_1.new_full((len(x_1),), config.s)
        guided = guide(model, conditions[rows].to(device), s, config.w, null, config.w_score)
        # PAPER-SILENT: III-E names no number format. The released script samples in float32 with
        # TF32 products; bfloat16 autocast on a GPU is faster and rounds more. x_t stays float32.
        with fast_autocast(device.type, enabled=device.type != "cpu"):
            x_0 = euler_sample(guided, x_1, config.n_steps)
        drawn.append(model.unnormalize(x_0).to(noise.device))
    return torch.cat(drawn)


def postprocess(
    waves: Float[Tensor, "B C S"],
    sample_rate_hz: int,
    separator: Separator | None,
    config: GenerationConfig,
) -> tuple[Float[Tensor, "B C S"], list[LoudnessReport | None]]:
    """Separation, then loudness (Section III-E(b)); clips of the same shape and a report for each.

    The separator gets clips at its own rate; the result comes back at ``sample_rate_hz``.

    Raises:
        InputError: NaN or infinite samples, or clips below 0.4 s.
        ConfigError: separation wanted without a separator.
    """
    if not len(waves):
        return waves, []
    if config.n_passes:
        if separator is None:
            raise ConfigError("n_passes > 0 needs a separator")
        own, left = separator.sample_rate_hz, []
        for part in track(waves.split(_SEPARATION_BATCH), f"separating {len(waves)} clips"):
            part = resample(part, sample_rate_hz, own)
            part = remove_vocals(part, separator, config.n_passes, config.variant)
            left.append(fit_length(resample(part, own, sample_rate_hz), waves.shape[-1]))
        waves = torch.cat(left)
    if config.target_lufs is None:
        return waves, [None] * len(waves)
    levels = config.target_lufs, config.ceiling_dbtp, config.variant
    made = [normalize_loudness(wave, sample_rate_hz, *levels) for wave in waves]
    return torch.stack([scaled for scaled, _ in made]), [report for _, report in made]
