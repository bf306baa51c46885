"""An ear from outside: musicnn's taggers, trained on real music by others, never trained here.

The network of Pons and Serra, "musicnn: pre-trained convolutional neural networks for music audio
tagging" (2019), with the weights inside the package ``musicnn`` 0.1.0 (ISC licence): TensorFlow
checkpoints, read here with numpy alone.
"""

import re
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from attm_companion.assets import package_folder
from attm_companion.world.tf_checkpoint import read_checkpoint
from attm_core.codec.mel import MelConfig, mel_filterbank

TaggerName = Literal["MTT_musicnn", "MSD_musicnn"]

SAMPLE_RATE_HZ = 16_000
MEL = MelConfig(SAMPLE_RATE_HZ, 512, 256, 96, 0.0, 8_000.0)
FRONT = ((204, (7, 38)), (204, (7, 67)), (51, (128, 1)), (51, (64, 1)), (51, (32, 1)))
MIDDLE, EMBEDDING, N_TAGS = 64, 200, 50
BATCH = 2  # more are slower: the maps of the front end leave the cache of the processor
NORM_EPS = 1e-3
VARIABLE = re.compile(r"(conv2d|batch_normalization|dense)(?:_(\d+))?/(\w+)")
KINDS = {"conv2d": "convolutions", "batch_normalization": "norms", "dense": "dense"}
PARAMETERS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class Tagger(nn.Module):
    """Waves at 16 kHz, (B, S) → probabilities of 50 tags and the embedding before them."""

    filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(1, NORM_EPS)])
        self.norms.extend(nn.BatchNorm2d(width, NORM_EPS) for width, _ in FRONT)
        width = sum(channels for channels, _ in FRONT)
        convolutions: list[nn.Module] = [nn.Conv2d(1, *shape) for shape in FRONT]
        for channels in (width, MIDDLE, MIDDLE):
            convolutions.append(nn.Conv1d(channels, MIDDLE, 7, padding=3))
            self.norms.append(nn.BatchNorm1d(MIDDLE, NORM_EPS))
        pooled = 2 * (width + 3 * MIDDLE)
        self.convolutions = nn.ModuleList(convolutions)
        self.norms.extend(nn.BatchNorm1d(n, NORM_EPS) for n in (pooled, EMBEDDING))
        self.dense = nn.ModuleList([nn.Linear(pooled, EMBEDDING), nn.Linear(EMBEDDING, N_TAGS)])
        self.register_buffer("filters", mel_filterbank(MEL), persistent=False)
        self.register_buffer("window", torch.hann_window(MEL.n_fft), persistent=False)

    def forward(self, waves: Float[Tensor, "B S"]) -> tuple[Tensor, Tensor]:
        """Probabilities (B, 50) and embeddings (B, 200)."""
        spectrum = torch.stft(waves, MEL.n_fft, MEL.hop, window=self.window, return_complex=True)
        power = torch.view_as_real(spectrum).square().sum(-1)
        mel = torch.log10(1.0 + 10_000.0 * (self.filters @ power))
        maps = self._front(self.norms[0](mel.transpose(1, 2)[:, None]))
        levels = [maps]
        for i in range(len(FRONT), len(FRONT) + 3):
            new = self.norms[i + 1](relu(self.convolutions[i](levels[-1])))
            levels.append(new if len(levels) == 1 else new + levels[-1])
        all_maps = torch.cat(levels, 1)
        pooled = torch.stack([all_maps.amax(2), all_maps.mean(2)], 2).flatten(1)
        embedding = self.norms[10](relu(self.dense[0](self.norms[9](pooled))))
        return self.dense[1](embedding).sigmoid(), embedding

    def _front(self, mel: Float[Tensor, "B 1 L M"]) -> Float[Tensor, "B C L"]:
        """Timbral and temporal filters, each at the band where it answers most."""
        maps = []
        for i, (_, (length, _)) in enumerate(FRONT):
            padded = pad(mel, (0, 0, (length - 1) // 2, length // 2))
            maps.append(self.norms[i + 1](relu(self.convolutions[i](padded))).amax(3))
        return torch.cat(maps, 1)

    @torch.inference_mode()
    def tag(self, waves: Float[Tensor, "n S"]) -> tuple[Tensor, Tensor]:
        """The same for many waves, a few at a time."""
        parts = [self(part) for part in waves.split(BATCH)]
        return torch.cat([p for p, _ in parts]), torch.cat([e for _, e in parts])


def load_tagger(name: TaggerName = "MTT_musicnn") -> tuple[Tagger, tuple[str, ...]]:
    """A tagger with its weights, and its tags in order; ``AssetError`` without ``musicnn``."""
    folder = package_folder("musicnn")
    from musicnn.configuration import MSD_LABELS, MTT_LABELS

    tagger = Tagger()
    state = tagger.state_dict()
    for key, value in read_checkpoint(folder / name).items():
        found = VARIABLE.fullmatch(key)
        if found is None:  # the optimizer's
            continue
        kind, number, what = found.groups()
        place = f"{KINDS[kind]}.{number or 0}.{PARAMETERS[what]}"
        state[place] = _as_here(torch.from_numpy(value), state[place].ndim)
    tagger.load_state_dict(state)
    return tagger.eval(), tuple(MTT_LABELS if name == "MTT_musicnn" else MSD_LABELS)


def _as_here(weight: Tensor, n_dimensions: int) -> Tensor:
    """TensorFlow's order (taps, inputs, outputs) to torch's (outputs, inputs, taps)."""
    if weight.ndim == 1:
        return weight
    if weight.ndim == 4 and n_dimensions == 3:  # convolutions over time, inputs as a second axis
        return weight[:, :, 0].permute(2, 1, 0)
    return weight.permute(3, 2, 0, 1) if weight.ndim == 4 else weight.t()
