"""A cast whose answers are known: what each role got is kept, and nothing is trained."""

from dataclasses import dataclass, field

import torch

from attm_core.backbone.config import Conditions
from attm_core.generation.clips import Cast, Listener

RATE_HZ = 16_000
N_SAMPLES = 8_000
SHAPE = (4, 2)
WIDTH = 3


@dataclass
class ToyBackbone:
    """Velocity −s · pooled, so that latents tell which conditions and score they came from."""

    scores: list[float | None] = field(default_factory=list)

    def project(self, conditions):
        return conditions

    def velocity(self, x_t, t, projected, s):
        self.scores.append(None if s is None else float(s[0]))
        return torch.zeros_like(x_t) + projected.pooled.mean(dim=1)[:, None, None]

    def null_conditions(self, batch):
        return Conditions(torch.zeros(batch, 1, 1), torch.zeros(batch, WIDTH))

    def unnormalize(self, latents):
        return latents


class ToyCodec:
    """A tone a latent, its pitch from the latent's mean, so different noise sounds different."""

    sample_rate_hz = RATE_HZ
    n_samples = N_SAMPLES
    n_latents, n_channels = SHAPE

    def encode(self, waves):
        raise NotImplementedError

    def decode(self, latents):
        pitch_hz = 440.0 + 20.0 * latents.mean(dim=(1, 2))
        time_s = torch.arange(N_SAMPLES) / RATE_HZ
        return 0.1 * torch.sin(2 * torch.pi * pitch_hz[:, None] * time_s)


class BrokenCodec(ToyCodec):
    def decode(self, latents):
        return torch.full((len(latents), N_SAMPLES), torch.nan)


class ToySeparator:
    """Takes half of everything away and counts how often."""

    sample_rate_hz = RATE_HZ
    calls = 0

    def no_vocals(self, wave):
        return self.no_vocals_batch(wave)

    def no_vocals_batch(self, waves):
        self.calls += 1
        return 0.5 * waves


class ToyClap:
    """Every text is the first axis; audio is turned away from it by 60 degrees."""

    width = WIDTH

    def embed_text(self, texts):
        return torch.eye(WIDTH)[:1].expand(len(texts), -1)

    def embed_audio(self, waves, sample_rate_hz):
        return torch.tensor([0.5, 0.75**0.5, 0.0]).expand(len(waves), -1)


class ToyEars:
    """Rewards 1, 2, … and remembers for which prompts and rate."""

    def __init__(self) -> None:
        self.prompts, self.rates = [], []

    def reward(self, waves, rate, prompts):
        self.prompts += list(prompts)
        self.rates.append(rate)
        return [float(number) for number in range(1, len(waves) + 1)]


class ToyStudio:
    """A cast, and all that was asked of it."""

    def __init__(self, codec=None) -> None:
        self.backbone, self.separator, self.ears = ToyBackbone(), ToySeparator(), ToyEars()
        self.codec = codec or ToyCodec()
        self.texts = []
        self.listener = Listener(ToyClap(), self.ears.reward)

    def encode_text(self, texts):
        self.texts.append(texts)
        lengths = torch.tensor([float(len(text)) for text in texts])
        pooled = lengths[:, None].expand(-1, WIDTH)
        return Conditions(torch.zeros(len(texts), 1, 1), pooled / 100)

    def cast(self) -> Cast:
        return Cast(
            self.backbone,
            SHAPE,
            self.encode_text,
            self.codec,
            self.separator,
            self.listener,
            "toy-weights",
        )
