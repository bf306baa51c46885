"""SongEval's ratings made into A-vs-B pairs (Section III-C calls all four sources votes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attm_core.errors import InputError

# PAPER-DEVIATION: the paper says that each source releases human votes on pairs; SongEval releases
# ratings on five axes, and the released code makes pairs of songs whose mean ratings differ by 0.5
# or more. So do we; the higher rated song wins.
AXES = ("Coherence", "Musicality", "Memorability", "Clarity", "Naturalness")


def mean_rating(annotation: Any, song: str) -> float:
    """Mean over the five axes of each axis' mean over annotators, in rating points.

    Raises:
        InputError: no annotator, or a rating that is missing or not a number.
    """
    if isinstance(annotation, (str, Mapping)) or not len(annotation):
        raise InputError(f"song {song}: annotation must be a list with a mapping an annotator")
    try:
        ratings = np.array([[float(one[axis]) for axis in AXES] for one in annotation])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"song {song}: a rating is missing or not a number ({error})") from error
    if not np.isfinite(ratings).all():
        raise InputError(f"song {song}: a rating is not finite")
    return float(ratings.mean())


def pairs_apart(ratings: NDArray[np.float64], min_gap: float) -> NDArray[np.int64]:
    """All pairs (k, 2) of songs, first < second, whose ratings differ by at least ``min_gap``."""
    first, second = np.triu_indices(len(ratings), k=1)
    apart = np.abs(ratings[first] - ratings[second]) >= min_gap
    pairs: NDArray[np.int64] = np.stack([first[apart], second[apart]], axis=1)
    return pairs


def synthesize_pairs(
    ratings: NDArray[np.float64], n_pairs: int, min_gap: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw distinct pairs uniformly among those whose ratings differ by at least ``min_gap``.

    Returns:
        (n_pairs, 2) indices into ``ratings``; which side comes first is drawn too.

    Raises:
        InputError: fewer than ``n_pairs`` such pairs exist.
    """
    apart = pairs_apart(ratings, min_gap)
    if len(apart) < n_pairs:
        raise InputError(
            f"{n_pairs} pairs with a gap of {min_gap} asked for, {len(apart)} exist among "
            f"{len(ratings)} songs; ask for fewer or lower the gap"
        )
    pairs: NDArray[np.int64] = apart[generator.choice(len(apart), size=n_pairs, replace=False)]
    swap = generator.random(n_pairs) < 0.5
    pairs[swap] = pairs[swap][:, ::-1]
    return pairs
