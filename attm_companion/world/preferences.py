"""Preference data of simulated listeners in four sources shaped like the real four (Section III-C).

| source | pairs | prompt | who hears what |
|---|---|---|---|
| MusicArena | two systems of unlike quality | a caption, seen | mixes, stems; decided votes only |
| MusicPrefs | any two clips | a caption, kept but not seen by the listeners | stems |
| AIME | thirteen systems, one of them real tracks | three tags, seen | mixes and stems; noisy |
| SongEval | songs whose mean ratings differ by 0.5 | none | mixes; no song in two splits |

Sizes keep the proportions of the real splits. A vote's ``p_bayes`` is the probability, over
listeners and their noise, that A wins if anyone does: no ranker can predict votes better.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attm_companion.world.listeners import (
    ClipWorth,
    Items,
    ListenerConfig,
    clip_worth,
    draw_tastes,
    vote_probabilities,
)
from attm_companion.world.song_ratings import songeval_votes
from attm_companion.world.vote_sources import (
    SONGEVAL,
    VOTE_SOURCES,
    PreferenceConfig,
    VoteSource,
    vote_table,
)
from attm_core.data.preference_splits import SPLITS
from attm_core.errors import InputError
from attm_core.randomness import numpy_generator

__all__ = [
    "ListenerConfig",
    "PreferenceConfig",
    "bayes_ceiling",
    "simulate_votes",
    "tag_fit",
    "tag_list",
]


def simulate_votes(
    table: pd.DataFrame, clap_fit: NDArray[np.float64], config: PreferenceConfig, seed: int
) -> pd.DataFrame:
    """The votes of all four sources.

    Args:
        table: the corpus' clips, one a row (``ClipStore.table``).
        clap_fit: (clips, clips); entry [p, c] is how well clip c fits the prompt taken from clip p.
        config: sizes and tastes.
        seed: each source draws from its own stream of it.

    Returns:
        One row a vote: ``pair_id source split row_a kind_a row_b kind_b prompt_row prompt winner
        prompt_shown p_bayes``; rows are positions in ``table``, kinds ``mix`` or ``instrumental``,
        ``prompt_row`` is −1 where there is no prompt.

    Raises:
        InputError: a table without the columns needed, a fit of the wrong shape, or too few clips.
    """
    pool = np.flatnonzero(table["split"].isin(config.clip_splits))
    if len(pool) < 2 * max(source.n_systems for source in VOTE_SOURCES):
        raise InputError(f"{len(pool)} clips in the splits {config.clip_splits} are too few")
    worth = clip_worth(table, clap_fit, pool)
    parts = [
        _source_votes(source, table, worth, pool, config, numpy_generator(seed, source.name))
        for source in VOTE_SOURCES
    ]
    songs = numpy_generator(seed, SONGEVAL)
    return pd.concat([*parts, songeval_votes(table, worth, pool, config, songs)], ignore_index=True)


def bayes_ceiling(votes: pd.DataFrame) -> float:
    """Accuracy that the best possible ranker can expect on the votes that are not ties.

    Raises:
        InputError: every vote is a tie.
    """
    p = votes.loc[votes["winner"] != "tie", "p_bayes"].to_numpy(dtype=np.float64)
    if len(p) == 0:
        raise InputError("the Bayes ceiling needs at least one vote that is not a tie")
    return float(np.maximum(p, 1.0 - p).mean())


def tag_fit(tags: Iterable[object]) -> NDArray[np.float64]:
    """Fit by tags alone, (clips, clips): share of row clip's tags that column clip has too."""
    sets = [frozenset(tag_list(value)) for value in tags]
    names = sorted(frozenset().union(*sets))
    has = np.array([[name in tags_ for name in names] for tags_ in sets], dtype=np.float64)
    fit: NDArray[np.float64] = has @ has.T / np.maximum(has.sum(axis=1, keepdims=True), 1.0)
    return fit


def tag_list(value: object) -> list[str]:
    """Tags of one clip, stored as a sequence or as a comma-separated string."""
    if isinstance(value, str):
        return [tag.strip() for tag in value.split(",") if tag.strip()]
    return [str(tag) for tag in np.asarray(value).ravel()]


def _source_votes(
    source: VoteSource,
    table: pd.DataFrame,
    worth: ClipWorth,
    pool: NDArray[np.int64],
    config: PreferenceConfig,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Votes of one source; splits are random over pairs, so clips recur across them."""
    sizes = config.sizes(source.real_sizes)
    tastes = draw_tastes(config.listeners, generator)
    parts: list[pd.DataFrame] = []
    while sum(map(len, parts)) < sum(sizes):
        a, b = _draw_pairs(source, worth, pool, (sum(sizes), config.candidates), generator)
        votes = _vote(source, worth, (a, b), tastes, config.listeners, generator)
        distinct = (a.rows != b.rows) | (a.is_mix != b.is_mix)
        decided = (votes["winner"] != "tie").to_numpy(dtype=bool)
        parts.append(votes[distinct & (decided | source.keeps_ties)])
    votes = pd.concat(parts, ignore_index=True).iloc[: sum(sizes)]
    texts = table["tags"].map(_three_tags) if source.tag_prompts else table["caption"]
    return votes.assign(
        pair_id=[f"{source.prefix}_{number:06d}" for number in range(len(votes))],
        source=source.name,
        split=np.repeat(SPLITS, sizes),
        prompt=texts.to_numpy()[votes["prompt_row"]],
        prompt_shown=source.sees_prompt,
    )


def _draw_pairs(
    source: VoteSource,
    worth: ClipWorth,
    pool: NDArray[np.int64],
    shape: tuple[int, int],
    generator: np.random.Generator,
) -> tuple[Items, Items]:
    """Prompts and two answers to each; ``shape`` is (pairs, candidates of a side)."""
    n, _ = shape
    prompts = generator.choice(pool, size=n)
    by_quality = pool[np.argsort(worth.quality[pool], kind="stable")]
    bands = np.array_split(by_quality, source.n_systems)
    first = generator.integers(source.n_systems, size=n)
    other = generator.integers(1, source.n_systems, size=n) if source.n_systems > 1 else 0
    sides = []
    for systems in (first, (first + other) % source.n_systems):
        rows = _best_candidates(bands, systems, prompts, worth, shape, generator)
        real = generator.random(n) < source.real_tracks
        is_mix = generator.random(n) < source.mix_share
        sides.append(Items(np.where(real, prompts, rows), is_mix, prompts))
    return sides[0], sides[1]


def _best_candidates(
    bands: list[NDArray[np.int64]],
    systems: NDArray[np.int64],
    prompts: NDArray[np.int64],
    worth: ClipWorth,
    shape: tuple[int, int],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """For each prompt the best fitting of a few clips drawn from its system's band, (pairs,)."""
    lengths = np.array([len(band) for band in bands])[systems]
    starts = np.concatenate([[0], np.cumsum([len(band) for band in bands])])[systems]
    draws = (generator.random(shape) * lengths[:, None]).astype(np.int64)
    rows = np.concatenate(bands)[starts[:, None] + draws]
    best = worth.fit[prompts[:, None], rows].argmax(axis=1)
    return np.take_along_axis(rows, best[:, None], axis=1)[:, 0]


def _vote(
    source: VoteSource,
    worth: ClipWorth,
    sides: tuple[Items, Items],
    tastes: NDArray[np.float64],
    config: ListenerConfig,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """One vote a pair by a listener drawn from the panel, and the panel's p_bayes."""
    a, b = sides
    shared = worth.common(a, config, source.sees_prompt) - worth.common(
        b, config, source.sees_prompt
    )
    voices = worth.heard_voice(a) - worth.heard_voice(b)
    advantage = (shared[:, None] + tastes * voices[:, None]) / source.temperature
    p_a, p_b = vote_probabilities(advantage, source.tie_threshold)  # (pairs, listeners)
    listener = generator.integers(len(tastes), size=(len(shared), 1))
    chance = generator.random(len(shared))
    wins_a = chance < np.take_along_axis(p_a, listener, axis=1)[:, 0]
    wins_b = chance >= 1.0 - np.take_along_axis(p_b, listener, axis=1)[:, 0]
    winner = np.select([wins_a, wins_b], ["model_a", "model_b"], "tie")
    p_bayes = p_a.mean(axis=1) / (p_a.mean(axis=1) + p_b.mean(axis=1))
    return vote_table(a, b, winner, p_bayes)


def _three_tags(value: object) -> str:
    return ", ".join(tag_list(value)[:3])
