"""Roles with known answers and short tracks of tones, for tests of the extraction."""

import os

import numpy as np
import soundfile
import torch

from attm_core.configuration import WindowConfig
from attm_core.data.extraction import ExtractionCast, ExtractionConfig
from attm_core.data.jamendo import Caption, window_table

RATE_HZ = 4_000
CONFIG = ExtractionConfig(shard_size=4, batch_size=3, dtype="float32")
WINDOWS = WindowConfig(max_windows=3, window_s=0.5, min_track_s=0.25, n_valid=2, n_test=1)


class ToyCodec:
    """A latent is a tenth of a clip: mean and spread of its samples, in four ways."""

    sample_rate_hz, n_samples, n_latents, n_channels = RATE_HZ, 2_000, 4, 3

    def encode(self, waves):
        frames = waves[:, 0].unflatten(1, (4, 500))
        mean = torch.stack([frames.abs().mean(2), frames.amax(2), frames.amin(2)], dim=2)
        return mean, 0.1 + frames.std(2)[..., None].expand(-1, -1, 3)


class ToyText:
    n_tokens, width = 2, 5

    def encode(self, texts):
        sizes = torch.tensor([float(len(text)) for text in texts])
        return (sizes[:, None, None] / 64).expand(-1, 2, 5).contiguous()


class ToyClap:
    width = 6

    def embed_text(self, texts):
        place = torch.tensor([sum(map(ord, text)) % 6 for text in texts])
        return torch.eye(6)[place]


class ToySeparator:
    """The voice is what the channels do not share."""

    sample_rate_hz = 2 * RATE_HZ

    def no_vocals(self, waves):
        return waves.mean(dim=1, keepdim=True).expand_as(waves)


class ToyRanker:
    """Louder is better, and so is a longer caption."""

    def score(self, waves, sample_rate_hz, prompts):
        assert sample_rate_hz == RATE_HZ
        lengths = torch.tensor([len(prompt) / 1000 for prompt in prompts])
        return waves.abs().mean(dim=(1, 2)) + lengths


def toy_cast(**roles):
    given = {"codec": ToyCodec(), "text": ToyText(), "clap": ToyClap(), "uid": "toys"}
    return ExtractionCast(**given | {"separator": ToySeparator(), "ranker": ToyRanker()} | roles)


def write_track(path, seconds, pitch_hz, rate=RATE_HZ):
    """A stereo tone that grows louder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time_s = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * pitch_hz * time_s) * (0.2 + 0.3 * time_s / seconds)
    soundfile.write(str(path), np.stack([tone, 0.5 * tone], axis=1), rate, subtype="FLOAT")


def hours_of_silence(path, rate, hours=3.0, n_channels=1):
    """A WAV whose samples are a hole in the file: it takes no disk and no time to write."""
    soundfile.write(path, np.zeros((1, n_channels), dtype=np.int16), rate)
    n_bytes = int(hours * 3600) * rate * 2 * n_channels
    header = bytearray(path.read_bytes()[:44])
    header[4:8] = (36 + n_bytes).to_bytes(4, "little")
    header[40:44] = n_bytes.to_bytes(4, "little")
    path.write_bytes(header)
    os.truncate(path, 44 + n_bytes)


def toy_table(root):
    """Windows of tracks of 1.5 s and one of 0.3 s; two rates."""
    captions = []
    for number in range(8):
        path = f"{number % 3:02d}/{number}.wav"
        seconds, rate = (0.3, RATE_HZ) if number == 5 else (1.5, (1 + number % 2) * RATE_HZ)
        write_track(root / path, seconds, 100.0 + 20 * number, rate)
        captions.append(Caption(path, f"A tone of {100 + 20 * number} Hz" + "!" * number))
    return window_table(captions, root, WINDOWS)


def contents(folder):
    """All files below a folder but locks."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in files if path.suffix != ".lock"
    }
