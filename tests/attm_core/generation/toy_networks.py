"""Networks whose answers are known: what each got is kept, and nothing is trained."""

import torch

from attm_core.backbone.config import Conditions
from attm_core.generation.pipeline import FixedNetworks

RATE_HZ = 16_000
N_SAMPLES = 8_000
SHAPE = (4, 2)
WIDTH = 3


class ToyBackbone:
    """v = x + t + c + s with c the mean of the pooled text, −1 for the null text."""

    def __init__(self) -> None:
        self.scores: list[float | None] = []
        self.batches: list[int] = []

    def project(self, conditions):
        return conditions

    def velocity(self, x_t, t, projected, s):
        self.scores.append(None if s is None else float(s[-1]))
        self.batches.append(len(projected))
        x_t = x_t.repeat(len(projected) // len(x_t), 1, 1)
        score = 0 if s is None else s[:, None, None]
        return x_t + t[:, None, None] + projected.pooled.mean(dim=1)[:, None, None] + score

    def null_conditions(self, batch):
        return Conditions(-torch.ones(batch, 1, 1), -torch.ones(batch, WIDTH))

    def unnormalize(self, latents):
        return latents


class ToyCodec:
    """A tone per latent, its pitch from the latent's mean, so different noise sounds different."""

    sample_rate_hz = RATE_HZ
    n_samples = N_SAMPLES
    n_latents, n_channels = SHAPE

    def decode(self, latents):
        pitch_hz = 440.0 + 20.0 * latents.mean(dim=(1, 2))
        time_s = torch.arange(N_SAMPLES) / RATE_HZ
        return 0.1 * torch.sin(2 * torch.pi * pitch_hz[:, None, None] * time_s)


class BrokenCodec(ToyCodec):
    def decode(self, latents):
        return torch.full((len(latents), 1, N_SAMPLES), torch.nan)


class ToySeparator:
    """Takes half of everything away, and counts how often and of which lengths."""

    sample_rate_hz = RATE_HZ

    def __init__(self) -> None:
        self.calls, self.lengths = 0, set()

    def no_vocals(self, waves):
        self.calls += 1
        self.lengths.add(waves.shape[-1])
        return 0.5 * waves


class ToyClap:
    """Every text is the first axis; audio is turned away from it by 60 degrees."""

    width = WIDTH

    def embed_text(self, texts):
        return torch.eye(WIDTH)[:1].expand(len(texts), -1)

    def embed_audio(self, waves, sample_rate_hz):
        return torch.tensor([0.5, 0.75**0.5, 0.0]).expand(len(waves), -1)


class ToyReward:
    """Rewards 1, 2, … and remembers for which prompts and rate."""

    def __init__(self) -> None:
        self.clap, self.prompts, self.rates = ToyClap(), [], []

    def score(self, waves, rate, prompts, clap_audio):
        self.prompts += list(prompts)
        self.rates.append(rate)
        return torch.arange(1.0, len(waves) + 1)


class ToyStudio:
    """A backbone with all that is around it, and all that was asked of them."""

    def __init__(self, codec=None) -> None:
        self.backbone, self.separator, self.reward = ToyBackbone(), ToySeparator(), ToyReward()
        self.codec = codec or ToyCodec()
        self.texts = []

    def encode_text(self, texts):
        self.texts.append(texts)
        lengths = torch.tensor([float(len(text)) for text in texts])
        pooled = lengths[:, None].expand(-1, WIDTH)
        return Conditions(torch.zeros(len(texts), 1, 1), pooled / 100)

    def networks(self) -> FixedNetworks:
        return FixedNetworks(self.encode_text, self.codec, self.separator)
