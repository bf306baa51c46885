"""Independent random streams named by what they are for; there is no global seed anywhere.

``torch_generator(42, "sft", "noise")`` gives the same numbers on every run and none of those of
``torch_generator(42, "sft", "dropout")``: the seed of each stream is a hash of the whole name.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derived_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed from ``seed`` and the stream's name."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator for the stream ``names`` of ``seed``."""
    import torch

    return torch.Generator().manual_seed(derived_seed(seed, *names))


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for the stream ``names`` of ``seed``."""
    return np.random.default_rng(derived_seed(seed, *names))
