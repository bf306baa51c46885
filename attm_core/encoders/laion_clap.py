"""LAION-CLAP (Sections III-A, III-C, IV): conditioning, FAD-CLAP, CLAP score, ranker features.

Two checkpoints of one architecture have different uses and must not be exchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from attm_core.encoders.laion_clap_network import ClapArchitecture, load_network
from attm_core.encoders.wave_batches import resampled_batch
from attm_core.encoders.weights import require_files
from attm_core.errors import CheckpointError

Role = Literal["conditioning", "evaluation"]
Crop = Literal["center", "start"]

CHECKPOINTS: dict[Role, tuple[str, str]] = {
    "conditioning": ("clap_conditioning", "music_speech_audioset_epoch_15_esc_89.98.pt"),
    "evaluation": ("clap_evaluation", "music_audioset_epoch_15_esc_90.14.pt"),
}
TOKENIZER_ASSET = "roberta_tokenizer"
TOKENIZER_FILES = ("vocab.json", "merges.txt")
N_TOKENS = 77
SAMPLE_RATE_HZ = 48_000
WINDOW = 480_000  # samples: 10 s
INT16_MAX = 32_767.0
CHUNK = 8


class LaionClap:
    """A frozen ``ClapModel``.

    Args:
        network: the ``CLAP`` module.
        tokenizer: RoBERTa's.
        crop: which 10 s of longer audio are read.
    """

    def __init__(self, network: Any, tokenizer: Any, crop: Crop = "center") -> None:
        self.width = int(network.joint_embed_shape)
        self.crop: Crop = crop
        self._network = network
        self._tokenizer = tokenizer
        self._device = next(network.parameters()).device

    @classmethod
    def load(
        cls,
        role: Role,
        folder: Path | None = None,
        tokenizer_folder: Path | None = None,
        *,
        architecture: ClapArchitecture | None = None,
        crop: Crop = "center",
        device: str | torch.device = "cpu",
    ) -> LaionClap:
        """Read a published checkpoint and RoBERTa's tokenizer; nothing is downloaded.

        Args:
            role: which of the two checkpoints.
            folder: holds the checkpoint; the asset's folder if None.
            tokenizer_folder: holds ``vocab.json`` and ``merges.txt``; the asset's folder if None.
            architecture: that of the published checkpoints if None.
            crop: which 10 s of longer audio are read.
            device: where to run.

        Raises:
            AssetError: a file, or the package ``laion-clap``, is missing.
            CheckpointError: corrupt file, a pickle that holds code, NaN, another architecture, or
                a tokenizer of another size than the text tower.
        """
        asset, name = CHECKPOINTS[role]
        folder = require_files(asset, [name], folder)
        tokenizer_folder = require_files(TOKENIZER_ASSET, TOKENIZER_FILES, tokenizer_folder)
        architecture = architecture or ClapArchitecture()
        tokenizer = _load_tokenizer(tokenizer_folder, architecture.n_words)
        network = load_network(folder / name, architecture).to(device)
        return cls(network, tokenizer, crop)

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "B P"]:
        """Unit-norm text embeddings (B, 512) on the CPU; texts are cut after 77 tokens.

        The ranker's rule that an empty prompt is all zeros is not applied here: its caller does.
        """
        chunks = [list(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK)]
        embedded = [self._network.get_text_embedding(self._tokens(chunk)) for chunk in chunks]
        return torch.cat(embedded).float().cpu() if embedded else torch.zeros(0, self.width)

    @torch.no_grad()
    def embed_audio(
        self, waves: Float[Tensor, "B C S"], sample_rate_hz: int
    ) -> Float[Tensor, "B P"]:
        """Unit-norm audio embeddings (B, 512) on the CPU, of 10 s each.

        Raises:
            InputError: not (B, C, S) with S > 0, or NaN.
        """
        rows = resampled_batch(waves, sample_rate_hz, SAMPLE_RATE_HZ)
        windows = ten_seconds(quantize(rows), self.crop)
        embedded = [self._embed(chunk) for chunk in windows.split(CHUNK) if len(chunk)]
        return torch.cat(embedded) if embedded else torch.zeros(0, self.width)

    def _embed(self, windows: Tensor) -> Tensor:
        # "longer" is read by the fusion variant only; the package's interface asks for it.
        items = [{"waveform": window, "longer": torch.tensor([False])} for window in windows]
        embedded: Tensor = self._network.get_audio_embedding(items)
        return embedded.float().cpu()

    def _tokens(self, texts: list[str]) -> dict[str, Tensor]:
        read = self._tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=N_TOKENS,
            return_tensors="pt",
        )
        return {name: read[name].to(self._device) for name in ("input_ids", "attention_mask")}


def quantize(waves: Float[Tensor, "B S"]) -> Float[Tensor, "B S"]:
    """The round trip through 16-bit integers that LAION-CLAP was trained with (it truncates)."""
    whole = (waves.clamp(-1.0, 1.0) * INT16_MAX).to(torch.int16)
    return whole.float() / INT16_MAX


def ten_seconds(waves: Float[Tensor, "B S"], crop: Crop = "center") -> Float[Tensor, "B W"]:
    """Exactly 480,000 samples: longer audio is cropped, shorter repeated whole, then zero-padded.

    Args:
        waves: at 48 kHz.
        crop: ``"center"``, as the ranker's release scores collections, or ``"start"``, as the
            challenge evaluates.
    """
    # PAPER-SILENT: which 10 s of longer audio count is unstated, and the package draws them at
    # random; a fixed window makes every number reproducible.
    surplus = waves.shape[1] - WINDOW
    if surplus > 0:
        start = surplus // 2 if crop == "center" else 0
        return waves[:, start : start + WINDOW]
    repeated = waves.repeat(1, WINDOW // waves.shape[1])
    return F.pad(repeated, (0, WINDOW - repeated.shape[1]))


def _load_tokenizer(folder: Path, n_words: int) -> Any:
    from transformers import RobertaTokenizer

    vocabulary, merges = (str(folder / name) for name in TOKENIZER_FILES)
    try:
        tokenizer = RobertaTokenizer(vocabulary, merges)
    except (ValueError, LookupError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{folder}: RoBERTa's tokenizer is unreadable: {error}") from error
    if len(tokenizer) != n_words:
        raise CheckpointError(
            f"{folder}: a tokenizer of {len(tokenizer)} words does not belong to a text tower of "
            f"{n_words}; fetch {TOKENIZER_ASSET} again"
        )
    return tokenizer
