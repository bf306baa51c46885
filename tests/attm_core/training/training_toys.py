"""A tiny backbone and clips to train it on in milliseconds."""

import os
import signal
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from attm_core.backbone.config import Conditions, FluxAudioConfig
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.configuration import SFTConfig
from attm_core.randomness import torch_generator
from attm_core.training.data import LatentSet
from attm_core.training.own_samples import Sampling
from attm_core.training.sft import SFTObjective

SHAPE = {"n_channels": 3, "n_latents": 4, "n_tokens": 2, "token_width": 5, "pooled_width": 6}
SIZE = {
    "width": 16, "n_heads": 2, "n_joint": 1, "n_fused": 1, "ffn_multiple": 8, "score_features": 8,
}  # fmt: skip


def tiny_model(score_head="global_adaln", seed=0):
    config = FluxAudioConfig(**SHAPE, **SIZE, score_head=score_head)
    model = FluxAudio(config, torch_generator(seed, "model"))
    model.set_null_text(torch.full((2, 5), -1.0), torch.full((6,), -1.0))
    return model


def awake(model):
    """With weights past the start, where the velocity is zero, and latent statistics."""
    draw = torch_generator(3, "weights")
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn(weight.shape, generator=draw))
    model.set_latent_statistics(torch.zeros(3), torch.ones(3))
    return model.eval()


def tiny_set(n=24, seed=0):
    draw = torch_generator(seed, "clips")
    score = torch.randn(n, generator=draw)
    mean = score[:, None, None] + 0.5 * torch.randn(n, 4, 3, generator=draw)
    std = 0.1 + 0.1 * torch.rand(n, 4, 3, generator=draw)
    tokens = torch.randn(n, 2, 5, generator=draw)
    return LatentSet(mean, std, tokens, torch.randn(n, 6, generator=draw), score)


def tiny_train(n_steps=12, **changes):
    settings = {"lr": 1e-2, "warmup_steps": 3, "precision": "fp32", "save_every": 4}
    return SFTConfig(n_steps, **{**settings, "batch_size": 8, **changes})


def tiny_sampling(n=10):
    """Latents are noise, judged by their mean and their first entry."""

    def encode(captions):
        numbers = torch.tensor([float(caption) for caption in captions])
        return Conditions(numbers[:, None, None].repeat(1, 2, 5), numbers[:, None].repeat(1, 6))

    def generate(model, captions, s, seeds):
        draws = [torch.randn(4, 3, generator=torch_generator(seed)) for seed in seeds]
        level = encode(captions).pooled[:, :1, None]
        return SimpleNamespace(latents=torch.stack(draws) + s + level)

    def judge(clips, captions):
        return clips.latents.mean(dim=(1, 2)).numpy(), clips.latents[:, 0, 0].double().numpy()

    return Sampling([str(number) for number in range(n)], encode, generate, judge)


SAMPLING = tiny_sampling()


@contextmanager
def interrupted(at, batch_size=8, kills=False):
    """A training of that batch size is interrupted at a step, or its process killed."""
    draw = SFTObjective.draw

    def until(self, step):
        if (step, self.config.batch_size) == (at, batch_size):
            if kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt
        return draw(self, step)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SFTObjective, "draw", until)
        yield


def same_weights(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
