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

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attm_companion.arrays import Array, Rows
from attm_companion.world import listeners
from attm_companion.world.listeners import ClipWorth, Items, PreferenceConfig, VoteSource
from attm_core.data.preferences import AXES, SPLITS, pairs_apart, synthesize_pairs
from attm_core.errors import InputError
from attm_core.randomness import numpy_generator


@dataclass(frozen=True)
class _Panel:
    """Listeners of one source, and what they may hear."""

    worth: ClipWorth
    pool: Rows
    config: PreferenceConfig
    generator: np.random.Generator


def simulate_votes(
    table: pd.DataFrame, clap_fit: Array, config: PreferenceConfig, seed: int
) -> pd.DataFrame:
    """The votes of all four sources, each from its own stream of ``seed``.

    Entry [p, c] of ``clap_fit`` (clips, clips) is how well clip c fits the prompt of clip p, both
    rows of the corpus' ``table`` (``ClipStore.table``).

    Returns:
        One row per vote: ``pair_id source split row_a kind_a row_b kind_b prompt_row prompt winner
        prompt_shown p_bayes``; rows are positions in ``table``, kinds ``mix`` or ``instrumental``,
        ``prompt_row`` is −1 where there is no prompt.

    Raises:
        InputError: a table without the columns needed, a fit of the wrong shape, or too few clips.
    """
    pool = np.flatnonzero(table["split"].isin(config.clip_splits))
    if len(pool) < 2 * max(source.n_systems for source in listeners.VOTE_SOURCES):
        raise InputError(f"{len(pool)} clips in the splits {config.clip_splits} are too few")
    worth = listeners.clip_worth(table, clap_fit, pool)

    def panel(name: str) -> _Panel:
        return _Panel(worth, pool, config, numpy_generator(seed, name))

    parts = [_source_votes(source, table, panel(source.name)) for source in listeners.VOTE_SOURCES]
    return pd.concat([*parts, _songeval_votes(table, panel(listeners.SONGEVAL))], ignore_index=True)


def bayes_ceiling(votes: pd.DataFrame) -> float:
    """Accuracy of the best possible ranker on votes but ties; ``InputError`` if all are ties."""
    p = votes.loc[votes["winner"] != "tie", "p_bayes"].to_numpy(dtype=np.float64)
    if len(p) == 0:
        raise InputError("the Bayes ceiling needs at least one vote that is not a tie")
    return float(np.maximum(p, 1.0 - p).mean())


def tag_fit(tags: Iterable[str]) -> Array:
    """Fit by tags alone, (clips, clips): share of row clip's tags that column clip has too."""
    sets = [frozenset(filter(None, text.split(", "))) for text in tags]
    names = sorted(frozenset().union(*sets))
    has = np.array([[name in tags_ for name in names] for tags_ in sets], dtype=np.float64)
    shared: Array = has @ has.T / np.maximum(has.sum(axis=1, keepdims=True), 1.0)
    return shared


def _source_votes(source: VoteSource, table: pd.DataFrame, panel: _Panel) -> pd.DataFrame:
    """Votes of one source; splits are random over pairs, so clips recur across them."""
    sizes = panel.config.sizes(source.real_sizes)
    tastes = listeners.draw_tastes(panel.config.listeners, panel.generator)
    parts: list[pd.DataFrame] = []
    while sum(map(len, parts)) < sum(sizes):
        a, b = _draw_pairs(source, panel, sum(sizes))
        votes = _vote(source, (a, b), tastes, panel)
        distinct = (a.rows != b.rows) | (a.is_mix != b.is_mix)
        decided = (votes["winner"] != "tie").to_numpy(dtype=bool)
        parts.append(votes[distinct & (decided | source.keeps_ties)])
    votes = pd.concat(parts, ignore_index=True).iloc[: sum(sizes)]
    prompts = table["tags" if source.tag_prompts else "caption"].to_numpy()
    return votes.assign(
        pair_id=[f"{source.prefix}_{number:06d}" for number in range(len(votes))],
        source=source.name,
        split=np.repeat(SPLITS, sizes),
        prompt=prompts[votes["prompt_row"]],
        prompt_shown=source.sees_prompt,
    )


def _draw_pairs(source: VoteSource, panel: _Panel, n: int) -> tuple[Items, Items]:
    """N prompts and two answers to each."""
    worth, pool, generator = panel.worth, panel.pool, panel.generator
    prompts = generator.choice(pool, size=n)
    by_quality = pool[np.argsort(worth.quality[pool], kind="stable")]
    bands = np.array_split(by_quality, source.n_systems)
    first = generator.integers(source.n_systems, size=n)
    other = generator.integers(1, source.n_systems, size=n) if source.n_systems > 1 else 0
    sides = []
    for systems in (first, (first + other) % source.n_systems):
        rows = _best_candidates(bands, systems, prompts, panel)
        real = generator.random(n) < source.real_tracks
        is_mix = generator.random(n) < source.mix_share
        sides.append(Items(np.where(real, prompts, rows), is_mix, prompts))
    return sides[0], sides[1]


def _best_candidates(bands: list[Rows], systems: Rows, prompts: Rows, panel: _Panel) -> Rows:
    """For each prompt the best fitting of a few clips drawn from its system's band, (pairs,)."""
    sizes = np.array([len(band) for band in bands])
    starts = np.concatenate([[0], np.cumsum(sizes)])[systems]
    draws = panel.generator.random((len(prompts), panel.config.candidates))
    inside = (draws * sizes[systems][:, None]).astype(np.int64)
    rows = np.concatenate(bands)[starts[:, None] + inside]
    best = panel.worth.fit[prompts[:, None], rows].argmax(axis=1)
    return np.take_along_axis(rows, best[:, None], axis=1)[:, 0]


def _vote(
    source: VoteSource, sides: tuple[Items, Items], tastes: Array, panel: _Panel
) -> pd.DataFrame:
    """One vote per pair by a listener drawn from the panel, and the panel's p_bayes."""
    worth, generator = panel.worth, panel.generator
    utility = [worth.common(s, panel.config.listeners, source.sees_prompt) for s in sides]
    voice = [worth.heard_voice(side) for side in sides]
    shared, voices = utility[0] - utility[1], voice[0] - voice[1]
    advantage = (shared[:, None] + tastes * voices[:, None]) / source.temperature
    p_a, p_b = listeners.vote_probabilities(advantage, source.tie_threshold)  # (pairs, listeners)
    listener = generator.integers(len(tastes), size=(len(shared), 1))
    chance = generator.random(len(shared))
    wins_a = chance < np.take_along_axis(p_a, listener, axis=1)[:, 0]
    wins_b = chance >= 1.0 - np.take_along_axis(p_b, listener, axis=1)[:, 0]
    winner = np.select([wins_a, wins_b], ["model_a", "model_b"], "tie")
    return _vote_table(sides, winner, p_a.mean(axis=1) / (p_a.mean(axis=1) + p_b.mean(axis=1)))


def _vote_table(
    sides: tuple[Items, Items], winner: NDArray[np.str_], p_bayes: Array
) -> pd.DataFrame:
    a, b = sides
    kind_a, kind_b = (np.where(side.is_mix, "mix", "instrumental") for side in sides)
    places = {"row_a": a.rows, "kind_a": kind_a, "row_b": b.rows, "kind_b": kind_b}
    told = {"prompt_row": a.prompt_rows, "winner": winner, "p_bayes": p_bayes}
    return pd.DataFrame({**places, **told})


def _songeval_votes(table: pd.DataFrame, panel: _Panel) -> pd.DataFrame:
    """Ratings of songs made into pairs within each split; no piece is in two splits.

    A split whose songs are too few for its share of pairs has as many as they give.
    """
    config, generator = panel.config, panel.generator
    n_songs = max(
        config.min_songs, round(listeners.SONGEVAL_SONGS * config.n_pairs / listeners.N_REAL_PAIRS)
    )
    songs = generator.permutation(panel.pool)[:n_songs]
    means = _mean_ratings(songs, panel)
    split_of = _piece_splits(table["piece_id"].to_numpy()[songs], generator)
    parts = []
    for split, wanted in zip(SPLITS, config.sizes(listeners.SONGEVAL_SIZES), strict=True):
        of_split = np.flatnonzero(split_of == split)
        ratings = means[0, of_split]
        size = min(wanted, len(pairs_apart(ratings, listeners.MIN_GAP)))
        pairs = of_split[synthesize_pairs(ratings, size, listeners.MIN_GAP, generator)]
        winner = np.where(np.diff(means[0, pairs])[:, 0] < 0, "model_a", "model_b")
        a, b = (Items(songs[side], np.ones(size, bool), np.full(size, -1)) for side in pairs.T)
        parts.append(
            _vote_table((a, b), winner, _repeat_rate(means[1:], pairs)).assign(split=split)
        )
    votes = pd.concat(parts, ignore_index=True)
    ids = [f"songeval_{number:06d}" for number in range(len(votes))]
    return votes.assign(pair_id=ids, source=listeners.SONGEVAL, prompt="", prompt_shown=True)


def _mean_ratings(songs: Rows, panel: _Panel) -> Array:
    """Means over annotators and axes: one of the data and ``n_replicates`` more, (1 + r, songs)."""
    config, generator = panel.config, panel.generator
    tastes = listeners.draw_tastes(config.listeners, generator)
    items = Items(songs, np.ones(len(songs), dtype=bool), songs)
    shared = panel.worth.common(items, config.listeners, sees_prompt=False)
    heard = (1 + config.n_replicates, len(songs), config.annotators_per_song)
    taste = tastes[generator.integers(len(tastes), size=heard)]
    utility = shared[:, None] + taste * panel.worth.heard_voice(items)[:, None]
    mood = config.annotator_noise * generator.standard_normal(heard)
    total = np.zeros(utility.shape[:2])
    for _ in AXES:
        total += listeners.rate(utility, mood, config.rating_noise, generator).mean(axis=2)
    return total / len(AXES)


def _repeat_rate(means: Array, pairs: Rows) -> Array:
    """How often A wins when songs are rated anew and the gap rule holds again, (pairs,).

    Half a win is added to both sides (Jeffreys): no finite number of repetitions says never.
    """
    gap = means[:, pairs[:, 0]] - means[:, pairs[:, 1]]
    wins_a = (gap >= listeners.MIN_GAP).sum(axis=0) + 0.5
    wins_b = (gap <= -listeners.MIN_GAP).sum(axis=0) + 0.5
    share: Array = wins_a / (wins_a + wins_b)
    return share


def _piece_splits(pieces: NDArray[np.object_], generator: np.random.Generator) -> NDArray[np.str_]:
    """Split of each song, its piece's: 8 : 1 : 1 over the pieces."""
    names = generator.permutation(np.unique(pieces))
    parts = np.split(names, (int(0.8 * len(names)), int(0.9 * len(names))))
    split_of = {name: s for s, part in zip(SPLITS, parts, strict=True) for name in part}
    return np.array([split_of[piece] for piece in pieces])
