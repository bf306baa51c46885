"""A toy world for the encoders: three instruments, each clip with its own share of hiss."""

import math

import torch

PARTIALS = {"flute": [1.0], "organ": [1.0, 0.9, 0.8, 0.7], "clarinet": [1.0, 0.0, 0.8, 0.0, 0.6]}


def toy_clips(n_clips, seed):
    """Waves (n, 16384) at 16 kHz, captions, and the level of hiss (n,) that no caption tells."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(16_384) / 16_000
    names = list(PARTIALS)
    kinds = torch.randint(3, (n_clips,), generator=generator).tolist()
    roots = 220 * 2 ** (torch.rand(n_clips, generator=generator))
    hiss = 0.05 * torch.rand(n_clips, generator=generator)
    noise = torch.randn(n_clips, 16_384, generator=generator)
    waves = torch.stack([tone(names[k], root, time) for k, root in zip(kinds, roots, strict=True)])
    return waves + hiss[:, None] * noise, [f"a solo {names[k]}" for k in kinds], hiss


def tone(name, root_hz, time):
    partials = enumerate(PARTIALS[name], start=1)
    return 0.1 * sum(a * torch.sin(2 * math.pi * k * root_hz * time) for k, a in partials)
