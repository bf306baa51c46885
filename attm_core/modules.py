"""Small networks on disk and at birth: configuration beside the weights, weights from a generator.

A file holds the weights as safetensors and the frozen dataclass that built the network as JSON in
its metadata, so that ``load`` needs a path and nothing else.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Generator, nn

from attm_core.errors import CheckpointError
from attm_core.files import load_tensors, read_metadata, save_tensors
from attm_core.state_dicts import load_strictly, require_sizes

Module = TypeVar("Module", bound=nn.Module)
Config = TypeVar("Config")


def build(make: Callable[[], Module], generator: Generator | None = None) -> Module:
    """Call ``make`` without touching the global random state; weights come from ``generator``.

    Args:
        make: builds the module.
        generator: draws every convolution and linear weight (He-normal by fan-in, zero bias). With
            None the weights are arbitrary: for modules that are loaded next.
    """
    with torch.random.fork_rng(devices=[]):
        module = make()
    if generator is not None:
        for part in module.modules():
            if isinstance(part, (nn.Linear, nn.modules.conv._ConvNd)):
                _initialize(part, generator)
    return module


def _initialize(part: nn.Linear | nn.modules.conv._ConvNd, generator: Generator) -> None:
    nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
    if part.bias is not None:
        nn.init.zeros_(part.bias)


def save_module(path: Path, module: nn.Module, config: Any) -> Path:
    """Write the weights of ``module`` with its configuration (a dataclass), atomically."""
    metadata = {
        "class": type(module).__name__,
        "config": json.dumps(dataclasses.asdict(config), sort_keys=True),
    }
    return save_tensors(path, module.state_dict(), metadata)


def load_module(
    path: Path, config_type: type[Config], make: Callable[[Config], Module]
) -> tuple[Module, Config]:
    """Read what ``save_module`` wrote; the module comes back in evaluation mode.

    Args:
        path: a safetensors file.
        config_type: the dataclass of its configuration.
        make: builds the module from that configuration.

    Raises:
        CheckpointError: unreadable file, another class or configuration, missing, unexpected or
            mis-shaped weights, NaN or infinite values.
    """
    tensors = load_tensors(path)
    metadata = read_metadata(path)
    config = _parse_config(path, config_type, metadata.get("config"))
    require_sizes(dataclasses.asdict(config), tensors, str(path))  # type: ignore[call-overload]
    module = build(lambda: make(config))
    if metadata.get("class") != type(module).__name__:
        raise CheckpointError(
            f"{path} holds a {metadata.get('class')}, not a {type(module).__name__}"
        )
    load_strictly(module, tensors, path)
    return module.eval(), config


def _parse_config(path: Path, config_type: type[Config], text: str | None) -> Config:
    from pydantic import TypeAdapter, ValidationError

    if text is None:
        raise CheckpointError(f"{path} has no configuration in its metadata; train it again")
    try:
        config = TypeAdapter(config_type).validate_json(text)
    except ValidationError as error:
        raise CheckpointError(f"{path} is not of a {config_type.__name__}: {error}") from error
    # Parsing ignores keys it does not know; a file with more keys is from other code.
    if json.dumps(dataclasses.asdict(config), sort_keys=True) != text:  # type: ignore[call-overload]
        raise CheckpointError(f"{path} was written for another {config_type.__name__}: {text}")
    return config
