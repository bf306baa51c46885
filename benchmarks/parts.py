"""What one call of each part of the published system costs at full size, with random weights.

    python benchmarks/parts.py [--threads 2] [--rounds 2] [--seconds 8] [--shared]
                               [--only PART …] [--note TEXT]

A call is one caption or one clip of 10 s. Every part is built, measured and dropped in a process
of its own, in float32. Operations are those of matrix products, convolutions, attention and LSTMs,
a multiplication and an addition counting as two; Fourier transforms and elementwise work are left
out. On a machine that is busy with something else the clock says nothing of the part: ``--shared``
takes processor time over the threads instead. Writes ``results/benchmarks/parts.json`` after every
part; ``--only`` leaves the parts of that file that are not named as they are.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from sampling import random_weights
from side_by_side import RESULTS, gflop, machine, matmul_gflops, summary, timed
from torch import Tensor, nn

from attm_companion.world.random_networks import (
    random_flan_t5,
    random_laion_clap,
    random_mdx_extra,
    random_mert,
)
from attm_core.backbone.flux_audio import Conditions
from attm_core.codec.bigvgan_vocoder import BIGVGAN_V2_44K, random_bigvgan
from attm_core.codec.mmaudio import MMAudioCodec
from attm_core.codec.mmaudio_vae import RANDOM_BAND_MEAN, RANDOM_BAND_STD, random_mmaudio_vae
from attm_core.configuration import CLIP_SAMPLES
from attm_core.files import read_json, write_json
from attm_core.randomness import torch_generator

FILE = RESULTS / "parts.json"
RATE_HZ = 44_100
CAPTION = "a calm piano piece with soft strings, slow tempo, recorded in a small hall"
MEANING = {
    "gflop": "10⁹ operations of one call",
    "cpu_s": "seconds of one call: wall_s, or on a shared machine processor_s over the threads",
    "wall_s": "seconds of one call by the clock, best of the rounds",
    "processor_s": "processor seconds of one call, all threads together, best of the rounds",
    "rounds": "calls that were timed",
    "shared": "whether the machine was busy with something else",
    "peak_memory_mb": "most 10⁶ bytes that the part's process held; Python, PyTorch and the "
    "weights of the part's class are in it, no other part is",
    "parameters": "weights that a call uses",
    "matmul_gflops": "plain float32 matrix-product rate just before the part; machine's if absent",
}


@dataclass(frozen=True)
class Part:
    """One call, and the network that it runs."""

    call: Callable[[], object]
    network: nn.Module


def clip(generator: torch.Generator, n_channels: int = 1) -> Tensor:
    return 0.1 * torch.randn(1, n_channels, CLIP_SAMPLES, generator=generator)


def text(generator: torch.Generator) -> Part:
    encoder = random_flan_t5(generator)
    return Part(lambda: encoder.encode([CAPTION]), encoder._model)


def clap_text(generator: torch.Generator) -> Part:
    clap = random_laion_clap(generator)
    towers = [clap._network.text_branch, clap._network.text_projection]
    return Part(lambda: clap.embed_text([CAPTION]), nn.ModuleList(towers))


def clap_audio(generator: torch.Generator) -> Part:
    clap, wave = random_laion_clap(generator), clip(generator)
    towers = [clap._network.audio_branch, clap._network.audio_projection]
    return Part(lambda: clap.embed_audio(wave, RATE_HZ), nn.ModuleList(towers))


def mert(generator: torch.Generator) -> Part:
    encoder, wave = random_mert(generator), clip(generator)
    return Part(lambda: encoder.embed_audio(wave, RATE_HZ), encoder._model)


def vae_encode(generator: torch.Generator) -> Part:
    codec, wave = MMAudioCodec(random_mmaudio_vae(generator), None), clip(generator)
    return Part(lambda: codec.encode(wave), codec.vae.encoder)


def vae_decode(generator: torch.Generator) -> Part:
    codec = MMAudioCodec(random_mmaudio_vae(generator), None)
    latents = torch.randn(1, codec.n_latents, codec.n_channels, generator=generator)
    return Part(lambda: codec.decode_mel(latents), codec.vae.decoder)


def vocoder(generator: torch.Generator) -> Part:
    network = random_bigvgan(BIGVGAN_V2_44K, generator)
    mel = RANDOM_BAND_MEAN + RANDOM_BAND_STD * torch.randn(1, 128, 860, generator=generator)
    return Part(lambda: network(mel), network)


def conditions(generator: torch.Generator) -> Conditions:
    tokens = torch.randn(1, 77, 1024, generator=generator)
    return Conditions(tokens, torch.randn(1, 512, generator=generator))


def velocity(generator: torch.Generator) -> Part:
    model = random_weights(generator).eval().requires_grad_(False)
    x_1 = torch.randn(1, 430, 40, generator=generator)
    projected = model.project(conditions(generator))
    return Part(lambda: model.velocity(x_1, torch.ones(1), projected), model)


def training_step(generator: torch.Generator) -> Part:
    """Forward and backward of one clip; the optimiser's share is that of a whole batch."""
    model = random_weights(generator).train()
    x_t, target = torch.randn(2, 1, 430, 40, generator=generator)
    given = conditions(generator)

    def step() -> None:
        model.zero_grad()
        (model(x_t, torch.full((1,), 0.5), given) - target).square().mean().backward()

    return Part(step, model)


def separation(generator: torch.Generator) -> Part:
    """One pass of the whole bag; the post-processing makes three."""
    separator, wave = random_mdx_extra(generator), clip(generator)
    return Part(lambda: separator.no_vocals(wave), separator.model)


def separation_model(generator: torch.Generator) -> Part:
    """One of the bag's four models."""
    network: Any = random_mdx_extra(generator).model.models[0]
    wave = clip(generator, n_channels=2)

    def call() -> None:
        with torch.no_grad():
            network(wave)

    return Part(call, network)


PARTS = (
    text,
    clap_text,
    clap_audio,
    mert,
    vae_encode,
    vae_decode,
    vocoder,
    velocity,
    training_step,
    separation,
    separation_model,
)


def measure(make: Callable[[torch.Generator], Part], options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(options.threads)
    part = make(torch_generator(0, "benchmarks", "parts", make.__name__))
    operations = gflop(part.call, part.network)  # the first call also sets libraries up
    rate = matmul_gflops(torch.float32)
    pairs: list[tuple[float, float]] = []
    while len(pairs) < options.rounds or sum(wall for wall, _ in pairs) < options.seconds:
        pairs.append(timed(part.call))
    times = summary(pairs)
    processor_s = times["processor_s_best"]
    return {
        "gflop": operations,
        "cpu_s": processor_s / options.threads if options.shared else times["wall_s_best"],
        "wall_s": times["wall_s_best"],
        "processor_s": processor_s,
        "rounds": times["rounds"],
        "shared": options.shared,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "parameters": sum(weights.numel() for weights in part.network.parameters()),
        "matmul_gflops": rate,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    # Short calls get more rounds, so that one of them finds the machine idle.
    parser.add_argument("--seconds", type=float, default=8.0, help="at least, for each part")
    parser.add_argument("--shared", action="store_true", help="the machine is busy with more")
    parser.add_argument("--only", nargs="+", choices=[make.__name__ for make in PARTS])
    parser.add_argument("--note", default="", help="what else the machine was doing")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts = read_json(FILE)["parts"] if options.only else {}
    about = {"clip_s": CLIP_SAMPLES / RATE_HZ, "dtype": "float32", "note": options.note}
    about |= {"benchmark": "parts", "machine": machine(), "meaning": MEANING}
    for make in PARTS:
        if make.__name__ in (options.only or make.__name__):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                parts[make.__name__] = pool.apply(measure, (make, options))
            write_json(FILE, about | {"parts": parts})
            print(make.__name__, parts[make.__name__], flush=True)


if __name__ == "__main__":
    main()
