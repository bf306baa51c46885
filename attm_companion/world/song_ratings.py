"""SongEval in miniature: simulated annotators rate songs, and ratings are made into pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attm_companion.world.listeners import ClipWorth, Items, draw_tastes, rate
from attm_companion.world.vote_sources import (
    MIN_GAP,
    N_REAL_PAIRS,
    SONGEVAL,
    SONGEVAL_SIZES,
    SONGEVAL_SONGS,
    PreferenceConfig,
    vote_table,
)
from attm_core.data.preference_ratings import AXES, pairs_apart, synthesize_pairs
from attm_core.data.preference_splits import SPLITS


def songeval_votes(
    table: pd.DataFrame,
    worth: ClipWorth,
    pool: NDArray[np.int64],
    config: PreferenceConfig,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Ratings of songs made into pairs within each split; no piece is in two splits.

    A split whose songs are too few for its share of pairs has as many as they give.
    """
    n_songs = max(config.min_songs, round(SONGEVAL_SONGS * config.n_pairs / N_REAL_PAIRS))
    songs = generator.permutation(pool)[:n_songs]
    tastes = draw_tastes(config.listeners, generator)
    n_ratings = 1 + config.n_replicates
    means = _mean_ratings(songs, worth, tastes, n_ratings, config, generator)
    split_of = _piece_splits(table["piece_id"].to_numpy()[songs], generator)
    parts = []
    for split, wanted in zip(SPLITS, config.sizes(SONGEVAL_SIZES), strict=True):
        of_split = np.flatnonzero(split_of == split)
        ratings = means[0, of_split]
        size = min(wanted, len(pairs_apart(ratings, MIN_GAP)))
        pairs = of_split[synthesize_pairs(ratings, size, MIN_GAP, generator)]
        winner = np.where(np.diff(means[0, pairs])[:, 0] < 0, "model_a", "model_b")
        sides = [Items(songs[side], np.ones(size, bool), np.full(size, -1)) for side in pairs.T]
        votes = vote_table(sides[0], sides[1], winner, _repeat_rate(means[1:], pairs))
        parts.append(votes.assign(split=split))
    votes = pd.concat(parts, ignore_index=True)
    ids = [f"songeval_{number:06d}" for number in range(len(votes))]
    return votes.assign(pair_id=ids, source=SONGEVAL, prompt="", prompt_shown=True)


def _mean_ratings(
    songs: NDArray[np.int64],
    worth: ClipWorth,
    tastes: NDArray[np.float64],
    n_ratings: int,
    config: PreferenceConfig,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Mean over annotators and axes of ``n_ratings`` independent ratings, (ratings, songs)."""
    items = Items(songs, np.ones(len(songs), dtype=bool), songs)
    shared = worth.common(items, config.listeners, sees_prompt=False)
    heard = (n_ratings, len(songs), config.annotators_per_song)
    taste = tastes[generator.integers(len(tastes), size=heard)]
    utility = shared[:, None] + taste * worth.heard_voice(items)[:, None]
    mood = config.annotator_noise * generator.standard_normal(heard)
    total = np.zeros(utility.shape[:2])
    for _ in AXES:
        total += rate(utility, mood, config.rating_noise, generator).mean(axis=2)
    return total / len(AXES)


def _repeat_rate(means: NDArray[np.float64], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """How often A wins when songs are rated anew and the gap rule holds again, (pairs,).

    Half a win is added to both sides (Jeffreys): no finite number of repetitions says never.
    """
    gap = means[:, pairs[:, 0]] - means[:, pairs[:, 1]]
    wins_a = (gap >= MIN_GAP).sum(axis=0) + 0.5
    wins_b = (gap <= -MIN_GAP).sum(axis=0) + 0.5
    rates: NDArray[np.float64] = wins_a / (wins_a + wins_b)
    return rates


def _piece_splits(pieces: NDArray[np.object_], generator: np.random.Generator) -> NDArray[np.str_]:
    """Split of each song, its piece's: 8 : 1 : 1 over the pieces."""
    names = generator.permutation(np.unique(pieces))
    ends = (int(0.8 * len(names)), int(0.9 * len(names)))
    split_of = {
        name: split
        for split, part in zip(SPLITS, np.split(names, ends), strict=True)
        for name in part
    }
    return np.array([split_of[piece] for piece in pieces])
