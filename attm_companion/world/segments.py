"""Which piece belongs to which split, and which seconds of it a clip plays."""

from collections.abc import Sequence

import numpy as np

from attm_companion.arrays import Array, Rows
from attm_companion.world.config import SPLITS
from attm_companion.world.sheet_music import Piece
from attm_core.errors import ConfigError
from attm_core.randomness import numpy_generator

# Of every 20 pieces of the shuffled list, how many each split takes.
PIECES_OF_20 = {"train": 13, "valid": 1, "test": 1, "reference": 3, "prompts": 2}
GRID_PER_BEAT = 4
MIN_SOUNDING = 0.8
MIN_ONSETS_PER_BEAT = 0.5


def assign_splits(pieces: Sequence[tuple[str, str]], seed: int) -> dict[str, str]:
    """Deal pieces, (piece_id, kind), to splits, each kind as evenly as its number allows.

    Every split has a piece; the result is piece_id → split.

    Raises:
        ConfigError: fewer than 20 pieces.
    """
    if len(pieces) < 20:
        raise ConfigError(f"{len(pieces)} pieces cannot fill five splits; at least 20 are needed")
    generator = numpy_generator(seed, "splits")
    rank = generator.permutation(len(pieces))
    by_kind = sorted(range(len(pieces)), key=lambda i: (pieces[i][1], rank[i]))
    slots = [split for split in SPLITS for _ in range(PIECES_OF_20[split])]
    assigned: dict[str, str] = {}
    for place, i in enumerate(by_kind):
        if place % len(slots) == 0:
            slots = [slots[j] for j in generator.permutation(len(slots))]
        assigned[pieces[i][0]] = slots[place % len(slots)]
    return assigned


def choose_window(piece: Piece, n_beats: float, generator: np.random.Generator) -> float:
    """Where a clip of ``n_beats`` beats starts, in quarter notes: on a beat, with music in it.

    Windows that sound for at least 80 % of their time and have a note on every second beat are
    equally likely; if the piece has none, the fullest one is taken.
    """
    sounding, onsets = _activity(piece)
    width = max(1, round(n_beats * GRID_PER_BEAT))
    starts = np.arange(0, max(1, len(sounding) - width + 1), GRID_PER_BEAT)
    filled = _window_sums(sounding, starts, width) / width
    struck = _window_sums(onsets, starts, width)
    good = starts[(filled >= MIN_SOUNDING) & (struck >= MIN_ONSETS_PER_BEAT * n_beats)]
    start = generator.choice(good) if len(good) else starts[int(np.argmax(filled))]
    return float(start) / GRID_PER_BEAT * piece.beat_quarters


def _activity(piece: Piece) -> tuple[Array, Array]:
    """Per quarter-beat cell: does anything sound (0 or 1), and how many notes start."""
    notes = np.concatenate(piece.parts)
    cell = piece.beat_quarters / GRID_PER_BEAT
    first = np.floor(notes[:, 0] / cell + 1e-6).astype(int)
    last = np.maximum(np.ceil((notes[:, 0] + notes[:, 1]) / cell - 1e-6).astype(int), first + 1)
    change = np.zeros(last.max() + 1)
    np.add.at(change, first, 1)
    np.add.at(change, last, -1)
    onsets = np.bincount(first, minlength=last.max()).astype(np.float64)
    return (np.cumsum(change)[:-1] > 0).astype(np.float64), onsets


def _window_sums(values: Array, starts: Rows, width: int) -> Array:
    total = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.minimum(starts + width, len(values))
    sums: Array = total[ends] - total[starts]
    return sums


def cut(notes: Array, start_quarters: float, length_quarters: float) -> Array:
    """Notes (n, 3) that sound in the window, moved to start at 0 and cut at its borders."""
    begin = np.maximum(notes[:, 0] - start_quarters, 0.0)
    end = np.minimum(notes[:, 0] + notes[:, 1] - start_quarters, length_quarters)
    keep = end - begin > 1e-3
    kept: Array = np.stack([begin, end - begin, notes[:, 2]], axis=1)[keep]
    return kept
