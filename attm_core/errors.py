"""The errors a user can meet: each message says what was wrong and what to do about it."""

from __future__ import annotations

import math
from typing import Any

_MAX_NUMBER = 1e12  # no size, length or rate of this package is near it


class AttmError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(AttmError, ValueError):
    """A value, file or array handed in is not what the function needs."""


class ConfigError(AttmError, ValueError):
    """A profile, stage or command-line option is unknown or inconsistent."""


class CheckpointError(AttmError):
    """A weight file is corrupt, truncated, of the wrong shape, or holds NaN."""


class AssetError(AttmError):
    """A checkpoint or data set is missing, fails its hash, or cannot be fetched."""


class RenderError(AttmError):
    """A score cannot be parsed, arranged or rendered."""


class ResultError(AttmError):
    """A stored result is missing, malformed, or carries no provenance."""


class StorageError(AttmError):
    """A disk is full or gives back other bytes, or its file system lacks what is needed (locks)."""


class TrainingError(AttmError):
    """Training cannot go on: a loss or gradient is no longer a number, or a process failed."""


def require(
    config: object,
    positive: str = "",
    at_least_0: str = "",
    share: str = "",
    finite: str = "",
    **choices: tuple[object, ...],
) -> None:
    """Check fields of a configuration; a tuple is checked item by item.

    ``positive``, ``at_least_0``, ``share`` (in [0, 1]) and ``finite`` name fields, separated by
    spaces; ``choices`` maps a field to the values it may have.

    Raises:
        ConfigError: the first field that is NaN, infinite, out of range or unknown.
    """
    kind = type(config).__name__
    wants = (positive, "> 0"), (at_least_0, "≥ 0"), (share, "in [0, 1]"), (finite, "finite")
    for names, wanted in wants:
        for name in names.split():
            value = getattr(config, name)
            items = value if isinstance(value, tuple | list) else (value,)
            if not all(_within(item, wanted) for item in items):
                raise ConfigError(f"{name} of {kind} must be {wanted}, not {value!r}")
    for name, allowed in choices.items():
        if (value := getattr(config, name)) not in allowed:
            listed = ", ".join(map(repr, allowed))
            raise ConfigError(f"{name} of {kind} must be one of {listed}, not {value!r}")


def _within(value: Any, wanted: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if not math.isfinite(value) or abs(value) > _MAX_NUMBER:
        return False
    return {"> 0": value > 0, "≥ 0": value >= 0, "in [0, 1]": 0 <= value <= 1}.get(wanted, True)
