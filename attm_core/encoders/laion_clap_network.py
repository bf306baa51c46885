"""LAION-CLAP's network, built and filled without the hub (Wu et al. 2023).

Importing ``laion_clap`` asks the hub for three tokenizers, and its constructor for RoBERTa's
weights, which the checkpoint then overwrites. So only the package's model file is imported, under a
name of ours that leaves the package itself untouched, and RoBERTa is built from its configuration.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from attm_core.errors import AssetError, CheckpointError, ConfigError
from attm_core.files import read_json
from attm_core.modules import build
from attm_core.state_dicts import load_strictly, read_state_dict

PRIVATE_NAME = "_attm_laion_clap"
PARALLEL_PREFIX = "module."  # the checkpoints were written by DistributedDataParallel
POSITION_IDS = "text_branch.embeddings.position_ids"


@dataclass(frozen=True)
class ClapArchitecture:
    """What the published checkpoints are; smaller ones are for tests.

    Attributes:
        audio: name of a configuration in the ``laion-clap`` package.
        n_words: vocabulary of RoBERTa.
        n_layers: of RoBERTa, 768 wide.
    """

    audio: str = "HTSAT-base"
    n_words: int = 50_265
    n_layers: int = 12


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


def load_network(path: Path, architecture: ClapArchitecture) -> Any:
    """A ``CLAP`` module with the weights of a training checkpoint, in evaluation mode.

    Raises:
        CheckpointError: corrupt file, a pickle that holds code, NaN, or not this architecture.
    """
    tensors = _without_position_ids(
        _plain_names(read_state_dict(path, constructors=_numpy_scalars())), path
    )
    network = build_network(architecture)
    load_strictly(network, tensors, path)
    return network.eval().requires_grad_(False)


def _model_module() -> ModuleType:
    spec = importlib.util.find_spec("laion_clap")
    if spec is None or spec.origin is None:
        raise AssetError("LAION-CLAP's network is missing: pip install laion-clap")
    if PRIVATE_NAME not in sys.modules:
        package = ModuleType(PRIVATE_NAME)
        package.__path__ = [str(Path(spec.origin).parent / "clap_module")]
        sys.modules[PRIVATE_NAME] = package
    return importlib.import_module(f"{PRIVATE_NAME}.model")


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


def _numpy_scalars() -> list[Any]:
    """Constructors of NumPy numbers: training checkpoints keep scores beside the weights."""
    import numpy as np
    from numpy.core import multiarray

    numbers = (np.float64, np.float32, np.int64)
    scalar: Any = multiarray.scalar  # type: ignore[attr-defined]
    return [scalar, np.dtype, *(type(np.dtype(number)) for number in numbers)]


def _plain_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(PARALLEL_PREFIX): tensor for name, tensor in tensors.items()}


def _without_position_ids(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Drop the one key that transformers no longer stores, if it is the constant it must be."""
    ids = tensors.pop(POSITION_IDS, None)
    if ids is not None and not torch.equal(ids.flatten(), torch.arange(ids.numel())):
        raise CheckpointError(f"{path}: {POSITION_IDS} is not 0, 1, 2 …; fetch it again")
    return tensors
