"""The mini cast of the separator: a small ``demucs`` model trained on the corpus' own stems.

It is the real class of the ``demucs`` package (the waveform U-Net of [16]) with few channels, and
runs through ``demucs.apply.apply_model`` like the paper's ``mdx_extra``. Mixtures are made on the
fly: instruments of one clip plus, often, the voice of another at a random level.
"""

# MINI-WORLD: it estimates the voice alone, and "no vocals" is the clip minus that. So small a model
# would blur instruments that it had to copy, and most generated clips hold no voice, so three
# passes must leave them alone.

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attm_companion.world.config import MiniDemucsConfig, MiniDemucsTraining
from attm_companion.world.fitting import minimise
from attm_core.errors import CheckpointError, InputError
from attm_core.files import load_tensors, read_metadata, save_tensors
from attm_core.generation.separation import VOCALS, DemucsSeparator
from attm_core.weights import load_strictly

CONFIG_KEY = "mini_demucs"
SILENT_RMS = 1e-4
RESCALE = 0.1  # the reference initialisation scale of demucs


def build_mini_demucs(config: MiniDemucsConfig, generator: torch.Generator) -> nn.Module:
    """A ``Demucs`` of the ``demucs`` package, weights drawn from ``generator``."""
    from demucs.demucs import Demucs, rescale_module

    depth, rate = config.depth, config.sample_rate_hz
    layers = {"channels": config.channels, "depth": depth, "norm_starts": depth}
    shape = {"kernel_size": 2 * config.stride, "stride": config.stride, "audio_channels": 1}
    plain = {"dconv_attn": depth, "dconv_lstm": depth, "resample": False}
    segment = {"samplerate": rate, "segment": config.segment_s}
    with torch.random.fork_rng(devices=[]):  # its constructor draws from the global stream
        model: nn.Module = Demucs([VOCALS], **layers, **shape, **plain, **segment)
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            _draw(module, generator)
    rescale_module(model, RESCALE)
    return model


@torch.no_grad()
def _draw(module: Any, generator: torch.Generator) -> None:
    """PyTorch's default for convolutions, U(±1/√fan_in), from a named stream."""
    bound = 1 / math.sqrt(module.weight[0].numel())
    module.weight.uniform_(-bound, bound, generator=generator)
    if module.bias is not None:
        module.bias.uniform_(-bound, bound, generator=generator)


def train_mini_demucs(
    instrumental: Float[Tensor, "I S"],
    vocals: Float[Tensor, "V S"],
    generator: torch.Generator,
    config: MiniDemucsConfig,
    training: MiniDemucsTraining,
) -> nn.Module:
    """Train a separator on stems by the L1 loss of demucs; in evaluation mode.

    Clips without voice and sung parts need not be aligned; silent rows of either are left out. The
    generator draws weights, mixtures and levels.

    Raises:
        InputError: no voice or no instruments, or clips shorter than the crop.
    """
    instrumental, vocals = (
        _audible(stem, training.crop_samples) for stem in (instrumental, vocals)
    )
    model = build_mini_demucs(config, generator)

    def loss() -> Tensor:
        music, voice = draw_mixture(instrumental, vocals, training, generator)
        estimate: Tensor = model((music + voice)[:, None])[:, 0, 0]
        return (estimate - voice).abs().mean()

    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.99))
    rates = [training.rate(step) for step in range(training.n_steps)]
    minimise(loss, optimizer, rates, "mini demucs")
    return model.eval()


def _audible(stem: Tensor, crop_samples: int) -> Tensor:
    """Rows that are not silent; raises ``InputError`` if none is left or they are too short."""
    if stem.ndim != 2 or stem.shape[1] < crop_samples:
        raise InputError(f"stems must have shape (n, S ≥ {crop_samples}), got {tuple(stem.shape)}")
    heard = stem[stem.square().mean(dim=1).sqrt() > SILENT_RMS]
    if len(heard) == 0:
        raise InputError("a separator needs stems that are not silent")
    return heard


def draw_mixture(
    instrumental: Float[Tensor, "I S"],
    vocals: Float[Tensor, "V S"],
    training: MiniDemucsTraining,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "B L"], Float[Tensor, "B L"]]:
    """Random crops of instruments and of voices at random levels, some voices silent."""
    size = (training.batch_size, 1)
    low, high = training.voice_db
    level_db = low + (high - low) * torch.rand(size, generator=generator)
    present = torch.rand(size, generator=generator) < training.voice_share
    music = _unit(_crops(instrumental, training, generator))
    voice = _unit(_crops(vocals, training, generator)) * 10 ** (level_db / 20) * present
    return 0.1 * music, 0.1 * voice


def _unit(waves: Tensor) -> Tensor:
    """Scale rows to unit level; nearly silent crops stay nearly silent."""
    return waves / (waves.square().mean(dim=1, keepdim=True).sqrt() + 10 * SILENT_RMS)


def _crops(stem: Tensor, training: MiniDemucsTraining, generator: torch.Generator) -> Tensor:
    batch, length = training.batch_size, training.crop_samples
    rows = torch.randint(len(stem), (batch,), generator=generator)
    starts = torch.randint(stem.shape[1] - length + 1, (batch,), generator=generator)
    pairs = zip(rows.tolist(), starts.tolist(), strict=True)
    return torch.stack([stem[row, start : start + length] for row, start in pairs])


def save_mini_demucs(model: nn.Module, config: MiniDemucsConfig, path: Path) -> Path:
    """Write weights and shape as one safetensors file."""
    return save_tensors(path, model.state_dict(), {CONFIG_KEY: json.dumps(asdict(config))})


def load_mini_demucs(path: Path) -> DemucsSeparator:
    """The separator from a file of ``save_mini_demucs``; ``CheckpointError`` if it is none."""
    tensors, metadata = load_tensors(path), read_metadata(path)
    if CONFIG_KEY not in metadata:
        raise CheckpointError(f"{path} is no mini demucs: its metadata has no {CONFIG_KEY!r}")
    try:
        config = MiniDemucsConfig(**json.loads(metadata[CONFIG_KEY]))
        model = build_mini_demucs(config, torch.Generator())
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not fit the mini demucs: {error}") from error
    load_strictly(model, tensors, path)
    return DemucsSeparator(model)


@torch.no_grad()
def separation_quality(
    separator: DemucsSeparator, instrumental: Float[Tensor, "B S"], vocals: Float[Tensor, "B S"]
) -> dict[str, float]:
    """Median SI-SDR in dB on held-out stems; the mixture is ``instrumental + vocals``.

    Clips whose instruments are silent do not count.

    Returns:
        Of clips with a voice ``untouched_db`` (the mixture itself: the floor), ``one_pass_db`` and
        ``three_passes_db``; of clips without ``clean_db``, after three passes (infinite if nothing
        changed).

    Raises:
        InputError: no clip with a voice, or none without.
    """
    heard = instrumental.square().mean(dim=1).sqrt() > SILENT_RMS
    instrumental, vocals = instrumental[heard], vocals[heard]
    voiced = vocals.square().mean(dim=1).sqrt() > SILENT_RMS
    if not voiced.any() or voiced.all():
        raise InputError("separation quality needs clips with a voice and clips without")
    estimates = [instrumental + vocals]
    for _ in range(3):
        estimates.append(separator.no_vocals(estimates[-1][:, None])[:, 0])
    ratios = [si_sdr_db(estimate, instrumental) for estimate in estimates]
    names = {"untouched_db": 0, "one_pass_db": 1, "three_passes_db": 3}
    quality = {name: float(ratios[i][voiced].median()) for name, i in names.items()}
    return {**quality, "clean_db": float(ratios[3][~voiced].median())}


def si_sdr_db(estimate: Float[Tensor, "B S"], target: Float[Tensor, "B S"]) -> Float[Tensor, " B"]:
    """Scale-invariant signal-to-distortion ratio of each row in dB (Le Roux et al., 2019)."""
    scale = (estimate * target).sum(dim=1) / target.square().sum(dim=1).clamp(min=1e-12)
    projection = scale[:, None] * target
    noise = (estimate - projection).square().sum(dim=1)
    return 10 * torch.log10(projection.square().sum(dim=1) / noise.clamp(min=1e-12))
