"""What a codec costs in CLAP score: real clips, mel inversion alone, round trip, noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from attm_companion.world.mini_codec import MiniCodec
from attm_core.protocols import ClapModel


@torch.no_grad()
def codec_quality(
    codec: MiniCodec,
    clap: ClapModel,
    waves: Float[Tensor, "n S"],
    captions: Sequence[str],
    generator: Generator,
) -> dict[str, float]:
    """Mean CLAP score of held-out clips with their captions at each step of the codec.

    Args:
        codec: a trained codec.
        clap: the judge.
        waves: clips of the codec's rate and length.
        captions: one a clip.
        generator: draws the noise latents of the floor.

    Returns:
        ``real`` (ceiling), ``vocoder`` (mel and back), ``round_trip`` (encode and decode),
        ``noise`` (decoded normal latents of these clips' mean and deviation: the floor),
        ``retention`` (round trip / real) and ``mel_l1`` (mean absolute error of the standardised
        log-mel).
    """
    text = clap.embed_text(captions)

    def score(audio: Tensor) -> float:
        return float((clap.embed_audio(audio, codec.sample_rate_hz) * text).sum(-1).mean())

    log_mel = codec.log_mel.in_chunks(waves)
    mean, _ = codec.encode(waves)
    channel_std, channel_mean = torch.std_mean(mean, dim=(0, 1))
    noise = channel_mean + channel_std * torch.randn(mean.shape, generator=generator)
    error = codec.standardize(codec.decode_mel(mean)) - codec.standardize(log_mel)
    real, round_trip = score(waves), score(codec.decode(mean))
    return {
        "real": real,
        "vocoder": score(codec.vocoder(log_mel)),
        "round_trip": round_trip,
        "noise": score(codec.decode(noise)),
        "retention": round_trip / real,
        "mel_l1": float(error.abs().mean()),
    }
