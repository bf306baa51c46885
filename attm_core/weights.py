"""Weight files: our small networks, and those of other people, loaded whole or not at all.

Ours hold the weights as safetensors and the frozen dataclass that built the network as JSON in the
metadata, so that ``load_module`` needs a path and nothing else. Other people's are read without
running their code: safetensors hold tensors only; pickles are read with ``weights_only=True``, and
whatever would call a function that is not on a short list of constructors of plain data is refused.
Damage to a file is found where it breaks the format; damage inside the numbers only by a digest
(`attm assets verify`).
"""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor, nn

from attm_core.errors import CheckpointError
from attm_core.files import load_tensors, read_metadata, save_tensors

_Module = TypeVar("_Module", bound=nn.Module)
_Config = TypeVar("_Config")
_SHOWN_PROBLEMS = 5
_TRAINING_KEY = "state_dict"  # where a training checkpoint keeps its weights
# PyTorch adds this counter of training steps itself where an older file has none.
_COUNTER = "num_batches_tracked"
_REFUSED_NAME = re.compile(r"GLOBAL ([\w.]+)")


def build(make: Callable[[], _Module], generator: Generator | None = None) -> _Module:
    """Call ``make`` without touching the global random state; weights come from ``generator``.

    It draws every convolution and linear weight (He-normal by fan-in, zero bias). With None the
    weights are arbitrary: for modules that are loaded next.
    """
    with torch.random.fork_rng(devices=[]):
        module = make()
    if generator is not None:
        for part in module.modules():
            if isinstance(part, (nn.Linear, nn.modules.conv._ConvNd)):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
    return module


def save_module(path: Path, module: nn.Module, config: Any) -> Path:
    """Write the weights of ``module`` with its configuration (a dataclass), atomically."""
    text = json.dumps(dataclasses.asdict(config), sort_keys=True)
    metadata = {"class": type(module).__name__, "config": text}
    return save_tensors(path, module.state_dict(), metadata)


def load_module(
    path: Path, config_type: type[_Config], make: Callable[[_Config], _Module]
) -> tuple[_Module, _Config]:
    """Read what ``save_module`` wrote: the module in evaluation mode, and its configuration.

    ``make`` builds the module from a configuration of ``config_type``.

    Raises:
        CheckpointError: unreadable file, another class or configuration, missing, unexpected or
            mis-shaped weights, NaN or infinite values.
    """
    tensors = load_tensors(path)
    metadata = read_metadata(path)
    config = parse_config(path, config_type, metadata.get("config"))
    require_sizes(dataclasses.asdict(config), tensors, str(path))  # type: ignore[call-overload]
    module = build(lambda: make(config))
    if metadata.get("class") != type(module).__name__:
        raise CheckpointError(
            f"{path} holds a {metadata.get('class')}, not a {type(module).__name__}"
        )
    load_strictly(module, tensors, path)
    return module.eval(), config


def parse_config(path: Path, config_type: type[_Config], text: str | None) -> _Config:
    """The configuration (a dataclass) in the metadata of a file.

    Raises:
        CheckpointError: there is none, or it is of another class, has unknown keys or odd values.
    """
    from pydantic import TypeAdapter, ValidationError

    unusable = f"{path} has no usable configuration (train it again): it"
    try:
        config = TypeAdapter(config_type).validate_json(text or "null")
    except ValidationError as error:
        first = error.errors()[0]
        raise CheckpointError(f"{unusable} says {first['loc']}: {first['msg']}") from error
    # Parsing ignores keys it does not know; a file with more keys is from other code.
    if json.dumps(dataclasses.asdict(config), sort_keys=True) != text:  # type: ignore[call-overload]
        raise CheckpointError(f"{unusable} is of another {config_type.__name__}: {text}")
    return config


def read_state_dict(
    path: Path,
    inner_key: str | None = None,
    wanted: Callable[[str], bool] | None = None,
    constructors: Sequence[Any] = (),
) -> dict[str, Tensor]:
    """Named tensors of a ``.safetensors`` file or of a pickle, on the CPU; no code in it can run.

    In a pickled mapping the state dict is under ``inner_key``; None: it is the whole file, or its
    ``state_dict``. Only names that are ``wanted`` are read; ``constructors`` are for `read_pickle`.

    Raises:
        CheckpointError: the file is missing, empty, corrupt or truncated, holds code, or is not a
            mapping from names to tensors.
    """
    if path.suffix == ".safetensors":
        return load_tensors(path, wanted)
    content = read_pickle(path, constructors)
    if isinstance(content, Mapping):
        inner = content.get(inner_key or _TRAINING_KEY)
        content = inner if inner_key or isinstance(inner, Mapping) else content
    elif inner_key:
        content = None
    return only_tensors(content, f"{path}{f' under {inner_key!r}' if inner_key else ''}", wanted)


def only_tensors(
    content: Any, source: str, wanted: Callable[[str], bool] | None = None
) -> dict[str, Tensor]:
    """The named tensors that ``content`` consists of; ``source`` is what the message calls it.

    Raises:
        CheckpointError: not a mapping, empty, or something else than tensors under names.
    """
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(
            f"{source} holds no state dict of tensors, but a {type(content).__name__}; "
            "fetch it again"
        )
    kept = {name: value for name, value in content.items() if wanted is None or wanted(str(name))}
    odd = [str(name) for name, value in kept.items() if not _is_plain(name, value)]
    if odd:
        raise CheckpointError(
            f"{source} holds no state dict of tensors: {len(odd)} entries are something else, such "
            f"as {', '.join(odd[:_SHOWN_PROBLEMS])}; fetch it again"
        )
    return kept


def read_pickle(path: Path, constructors: Sequence[Any] = ()) -> Any:
    """What ``torch.save`` wrote, on the CPU: tensors and plain containers.

    Its current format is mapped, not read whole, so that the optimiser's state in a training
    checkpoint costs nothing; do not overwrite the file in place while its tensors are in use.
    ``constructors`` are plain-data types that the pickle may build besides.

    Raises:
        CheckpointError: missing, empty, truncated, corrupt, or asks for any other code.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist or is no file; fetch it first")
    try:
        with torch.serialization.safe_globals(list(constructors)):
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except Exception as error:  # damaged pickles raise all kinds: struct.error, AssertionError, …
        raise CheckpointError(_refusal(path, error)) from error


def require_fit(
    wanted: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    source: str,
    target: str = "",
    may_be_nan: Collection[str] = (),
) -> None:
    """Check names, types, shapes and values of a state dict before anything of it is loaded.

    ``wanted`` is that of the module to fill (the meta device will do); messages call the given one
    ``source`` and the module ``target``. Values under names that ``may_be_nan`` are not looked at.

    Raises:
        CheckpointError: tensors are missing, unknown, of another shape or kind, or not finite.
    """
    problems = [f"{n} is unknown" for n in given.keys() - wanted.keys()]
    for name, want in wanted.items():
        if (got := given.get(name)) is None:
            problems += [f"{name} is missing"] if name.split(".")[-1] != _COUNTER else []
            continue
        if got.shape != want.shape:
            problems.append(f"{name} has shape {tuple(got.shape)}, wanted {tuple(want.shape)}")
        if want.is_floating_point() and not got.is_floating_point():  # would be cast silently
            problems.append(f"{name} is of the type {got.dtype}, wanted {want.dtype}")
    for name in given.keys() - {*may_be_nan}:
        try:
            if not torch.isfinite(given[name]).all():
                problems.append(f"{name} holds NaN or infinite values")
        except RuntimeError:  # formats of 8 and 4 bits have no arithmetic
            problems.append(f"{name} is of the type {given[name].dtype}, which is not supported")
    if problems:
        shown = "; ".join(sorted(problems)[:_SHOWN_PROBLEMS])
        raise CheckpointError(
            f"{source} does not fit{target and f' {target}'}, {len(problems)} problem(s): {shown}"
            f"{' …' * (len(problems) > _SHOWN_PROBLEMS)}. Fetch or train the file that belongs to "
            "this model"
        )


def require_sizes(config: Mapping[str, Any], tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse a file whose stated sizes exceed what it holds, before memory is taken for them.

    Raises:
        CheckpointError: a number of ``config`` is larger than the number of values in the file.
    """
    n_values = sum(tensor.numel() for tensor in tensors.values())
    numbers = {name: value for name, value in config.items() if isinstance(value, int | float)}
    numbers.pop("n_samples", None)  # of audio: no weight has that size
    if absurd := [name for name, value in numbers.items() if not abs(value) <= n_values]:
        raise CheckpointError(
            f"{source} has no usable configuration: {', '.join(absurd)} cannot be, with "
            f"{n_values} values in the file; train it again"
        )


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy ``tensors`` into ``module``: every key, every shape, only finite values.

    Raises:
        CheckpointError: NaN or infinite values, missing, unexpected or mis-shaped weights; nothing
            is copied then.
    """
    require_fit(module.state_dict(), tensors, str(path), type(module).__name__)
    module.load_state_dict(dict(tensors))


def _is_plain(name: object, value: object) -> bool:
    """Whether a value is a tensor with all its numbers in the file, under a name."""
    if not isinstance(name, str) or not isinstance(value, Tensor):
        return False
    if value.layout is not torch.strided or value.device.type != "cpu":
        return False
    # A view that repeats its storage can claim any size: a few bytes would fill the memory.
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _refusal(path: Path, error: Exception) -> str:
    """Our words: PyTorch's own advise to switch the protection off."""
    said = str(error)
    refused = isinstance(error, pickle.UnpicklingError)
    if refused and (found := _REFUSED_NAME.search(said)):
        return (
            f"{path} asks for code to be run ({found[1]}), which is never done: get the weights "
            "from their source, as plain tensors"
        )
    first_line = said.strip().partition("\n")[0].partition(". ")[0][:200] or type(error).__name__
    reason = "" if refused or "weights_only" in said else f" ({first_line})"
    return (
        f"{path} is no checkpoint, or is corrupt or truncated{reason}; nothing in it was run; "
        "fetch it again"
    )
