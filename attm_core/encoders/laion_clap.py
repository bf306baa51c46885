"""LAION-CLAP (Sections III-A, III-C, IV): conditioning, FAD-CLAP, CLAP score, ranker features.

Two checkpoints of one architecture have different uses and must not be exchanged.

Importing ``laion_clap`` asks the hub for three tokenizers, and its constructor for RoBERTa's
weights, which the checkpoint then overwrites. So only the package's model file is imported, under a
name of ours that leaves the package itself untouched, and RoBERTa is built from its configuration.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from attm_core.assets import require_files
from attm_core.audio import resampled_rows
from attm_core.configuration import ClapArchitecture, Role
from attm_core.errors import AssetError, CheckpointError, ConfigError
from attm_core.files import read_json
from attm_core.weights import build, load_strictly, read_state_dict

_Crop = Literal["center", "start"]

_CHECKPOINTS: dict[Role, tuple[str, str]] = {
    "conditioning": ("clap_conditioning", "music_speech_audioset_epoch_15_esc_89.98.pt"),
    "evaluation": ("clap_evaluation", "music_audioset_epoch_15_esc_90.14.pt"),
}
_TOKENIZER_ASSET = "roberta_tokenizer"
_TOKENIZER_FILES = ("vocab.json", "merges.txt")
_N_TOKENS = 77
_SAMPLE_RATE_HZ = 48_000
_WINDOW = 480_000  # samples: 10 s
_INT16_MAX = 32_767.0
_CHUNK = 8
_PRIVATE_NAME = "_attm_laion_clap"
_PARALLEL_PREFIX = "module."  # the checkpoints were written by DistributedDataParallel
_POSITION_IDS = "text_branch.embeddings.position_ids"


class LaionClap:
    """A frozen ``ClapModel``: the ``CLAP`` module with RoBERTa's tokenizer.

    ``crop`` says which 10 s of longer audio are read.
    """

    def __init__(self, network: Any, tokenizer: Any, crop: _Crop = "center") -> None:
        self.width = int(network.joint_embed_shape)
        self.crop: _Crop = crop
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
        crop: _Crop = "center",
        device: str | torch.device = "cpu",
    ) -> LaionClap:
        """Read a published checkpoint and RoBERTa's tokenizer; nothing is downloaded.

        None stands for the assets' own folders, and for the published architecture.

        Raises:
            AssetError: a file, or the package ``laion-clap``, is missing.
            CheckpointError: corrupt file, a pickle that holds code, NaN, another architecture, or
                a tokenizer of another size than the text tower.
        """
        asset, name = _CHECKPOINTS[role]
        folder = require_files(asset, [name], folder)
        tokenizer_folder = require_files(_TOKENIZER_ASSET, _TOKENIZER_FILES, tokenizer_folder)
        architecture = architecture or ClapArchitecture()
        tokenizer = _load_tokenizer(tokenizer_folder, architecture.n_words)
        network = _load_network(folder / name, architecture).to(device)
        return cls(network, tokenizer, crop)

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "B P"]:
        """Unit-norm text embeddings (B, 512) on the CPU; texts are cut after 77 tokens.

        The ranker's rule that an empty prompt is all zeros is not applied here: its caller does.
        """
        options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        embedded = [torch.zeros(0, self.width)]
        for start in range(0, len(texts), _CHUNK):
            chunk = list(texts[start : start + _CHUNK])
            read = self._tokenizer(chunk, max_length=_N_TOKENS, **options)
            names = ("input_ids", "attention_mask")
            tokens = {name: read[name].to(self._device) for name in names}
            embedded.append(self._network.get_text_embedding(tokens).float().cpu())
        return torch.cat(embedded)

    @torch.no_grad()
    def embed_audio(
        self, waves: Float[Tensor, "B C S"], sample_rate_hz: int
    ) -> Float[Tensor, "B P"]:
        """Unit-norm audio embeddings (B, 512) on the CPU, of 10 s each.

        Raises:
            InputError: not (B, C, S) with S > 0, or NaN.
        """
        rows = resampled_rows(waves, sample_rate_hz, _SAMPLE_RATE_HZ)
        embedded = [torch.zeros(0, self.width)]
        for windows in _ten_seconds(_quantize(rows), self.crop).split(_CHUNK):
            # "longer" is read by the fusion variant only; the package's interface asks for it.
            items = [{"waveform": window, "longer": torch.tensor([False])} for window in windows]
            if items:
                embedded.append(self._network.get_audio_embedding(items).float().cpu())
        return torch.cat(embedded)


def _quantize(waves: Float[Tensor, "B S"]) -> Float[Tensor, "B S"]:
    """The round trip through 16-bit integers that LAION-CLAP was trained with (it truncates)."""
    whole = (waves.clamp(-1.0, 1.0) * _INT16_MAX).to(torch.int16)
    return whole.float() / _INT16_MAX


def _ten_seconds(waves: Float[Tensor, "B S"], crop: _Crop = "center") -> Float[Tensor, "B W"]:
    """480,000 samples at 48 kHz: longer audio cropped, shorter repeated whole, then zero-padded.

    The ranker's release scores collections by the ``"center"``, the challenge by the ``"start"``.
    """
    # PAPER-SILENT: which 10 s of longer audio count is unstated, and the package draws them at
    # random; a fixed window makes every number reproducible.
    surplus = waves.shape[1] - _WINDOW
    if surplus > 0:
        start = surplus // 2 if crop == "center" else 0
        return waves[:, start : start + _WINDOW]
    repeated = waves.repeat(1, _WINDOW // waves.shape[1])
    return F.pad(repeated, (0, _WINDOW - repeated.shape[1]))


def _load_tokenizer(folder: Path, n_words: int) -> Any:
    from transformers import RobertaTokenizer

    vocabulary, merges = (str(folder / name) for name in _TOKENIZER_FILES)
    try:
        tokenizer = RobertaTokenizer(vocabulary, merges)
    except (ValueError, LookupError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{folder}: RoBERTa's tokenizer is unreadable: {error}") from error
    if len(tokenizer) != n_words:
        raise CheckpointError(
            f"{folder}: a tokenizer of {len(tokenizer)} words does not belong to a text tower of "
            f"{n_words}; fetch {_TOKENIZER_ASSET} again"
        )
    return tokenizer


def build_network(architecture: ClapArchitecture) -> Any:
    """A ``CLAP`` module with arbitrary weights; nothing is downloaded.

    Raises:
        AssetError: ``laion-clap`` is not installed.
        ConfigError: the package has no audio configuration of that name.
    """
    module = _model_module()
    path = Path(str(module.__file__)).parent / "model_configs" / f"{architecture.audio}.json"
    if not path.is_file():
        raise ConfigError(f"laion-clap has no configuration {architecture.audio!r}")
    config = read_json(path)
    config["text_cfg"]["model_type"] = "roberta"
    with _roberta_from_configuration(module, architecture), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)
        return build(lambda: module.CLAP(**config))


def _load_network(path: Path, architecture: ClapArchitecture) -> Any:
    """A ``CLAP`` module with the weights of a training checkpoint, in evaluation mode."""
    import numpy as np
    from numpy.core import multiarray

    # Constructors of NumPy numbers: training checkpoints keep scores beside the weights.
    scalar: Any = multiarray.scalar  # type: ignore[attr-defined]
    numbers = (type(np.dtype(number)) for number in (np.float64, np.float32, np.int64))
    read = read_state_dict(path, constructors=[scalar, np.dtype, *numbers])
    tensors = {name.removeprefix(_PARALLEL_PREFIX): tensor for name, tensor in read.items()}
    # One key that transformers no longer stores is dropped, if it is the constant it must be.
    ids = tensors.pop(_POSITION_IDS, None)
    if ids is not None and not torch.equal(ids.flatten(), torch.arange(ids.numel())):
        raise CheckpointError(f"{path}: {_POSITION_IDS} is not 0, 1, 2 …; fetch it again")
    network = build_network(architecture)
    load_strictly(network, tensors, path)
    return network.eval().requires_grad_(False)


def _model_module() -> ModuleType:
    spec = importlib.util.find_spec("laion_clap")
    if spec is None or spec.origin is None:
        raise AssetError("LAION-CLAP's network is missing: pip install laion-clap")
    if _PRIVATE_NAME not in sys.modules:
        package = ModuleType(_PRIVATE_NAME)
        package.__path__ = [str(Path(spec.origin).parent / "clap_module")]
        sys.modules[_PRIVATE_NAME] = package
    return importlib.import_module(f"{_PRIVATE_NAME}.model")


@contextmanager
def _roberta_from_configuration(
    module: ModuleType, architecture: ClapArchitecture
) -> Iterator[None]:
    """Let ``RobertaModel.from_pretrained`` inside our copy of the module download nothing."""
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(
        vocab_size=architecture.n_words,
        num_hidden_layers=architecture.n_layers,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    patched: Any = module
    patched.RobertaModel = SimpleNamespace(from_pretrained=lambda name: RobertaModel(config))
    try:
        yield
    finally:
        patched.RobertaModel = RobertaModel
