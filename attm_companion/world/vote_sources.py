"""What differs between the four preference sources of Section III-C, and how large each is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attm_companion.world.listeners import Items, ListenerConfig
from attm_core.errors import ConfigError


@dataclass(frozen=True)
class VoteSource:
    """How one source of votes works.

    Attributes:
        name: as in `ranker.datasets.SOURCES`.
        prefix: of its pair ids.
        real_sizes: pairs of the real train, valid and test splits.
        temperature: τ of the votes; more is noisier.
        tie_threshold: θ of the votes.
        mix_share: probability that a side is a mix rather than an instrumental stem.
        n_systems: bands of production quality that pairs are drawn across; 1 for no bands.
        real_tracks: probability that a side is the very clip that the prompt describes.
        sees_prompt: whether listeners judge the fit to the prompt.
        keeps_ties: whether undecided votes stay in the data.
        tag_prompts: prompts are three tags rather than a caption.
    """

    name: str
    prefix: str
    real_sizes: tuple[int, int, int]
    temperature: float
    tie_threshold: float
    mix_share: float
    n_systems: int
    real_tracks: float = 0.0
    sees_prompt: bool = True
    keeps_ties: bool = True
    tag_prompts: bool = False


VOTE_SOURCES = (
    VoteSource("MusicArena", "arena", (571, 54, 74), 0.9, 0.3, 0.5, 4, keeps_ties=False),
    VoteSource("MusicPrefs", "prefs", (2012, 251, 252), 0.8, 0.1, 0.0, 1, sees_prompt=False),
    VoteSource("AIME", "aime", (12480, 1560, 1560), 1.0, 0.1, 0.5, 12, 1 / 13, tag_prompts=True),
)
SONGEVAL = "SongEval"
SONGEVAL_SIZES = (2491, 246, 249)
SONGEVAL_SONGS = 2399
MIN_GAP = 0.5  # rating points between the songs of a pair
N_REAL_PAIRS = sum(sum(source.real_sizes) for source in VOTE_SOURCES) + sum(SONGEVAL_SIZES)


@dataclass(frozen=True)
class PreferenceConfig:
    """Size and listeners of the simulated preference data; the defaults are the ``mini`` profile's.

    Attributes:
        n_pairs: votes of all sources and splits together (21,800 in the real ones).
        clip_splits: splits of the corpus whose clips are voted on; prompts and reference stay out.
        candidates: clips each side chooses among, taking the one that fits the prompt best, since
            real systems try to follow it.
        listeners: tastes.
        annotators_per_song: raters of one SongEval song.
        annotator_noise: standard deviation, over annotators, of how they take one song as a whole,
            in rating points.
        rating_noise: standard deviation of one rating on one axis, in rating points.
        min_songs: songs rated at least, so that small profiles have pairs in every split.
        n_replicates: simulated repetitions of the ratings behind ``p_bayes``.
    """

    n_pairs: int = 3000
    clip_splits: tuple[str, ...] = ("train", "valid")
    candidates: int = 4
    listeners: ListenerConfig = field(default_factory=ListenerConfig)
    annotators_per_song: int = 4
    annotator_noise: float = 0.9
    rating_noise: float = 0.9
    min_songs: int = 120
    n_replicates: int = 200

    def __post_init__(self) -> None:
        sizes = (self.candidates, self.annotators_per_song, self.min_songs, self.n_replicates)
        if self.n_pairs < 100 or min(sizes) < 1:
            raise ConfigError("n_pairs must be 100 or more, and one of everything else")

    def sizes(self, real: tuple[int, int, int]) -> tuple[int, int, int]:
        """Train, valid and test pairs of a source, in proportion to its real ones; at least one."""
        train, valid, test = (max(1, round(n * self.n_pairs / N_REAL_PAIRS)) for n in real)
        return train, valid, test


def vote_table(
    a: Items, b: Items, winner: NDArray[np.str_], p_bayes: NDArray[np.float64]
) -> pd.DataFrame:
    """The columns that every simulated vote has; rows are positions in the clip table."""
    return pd.DataFrame(
        {
            "row_a": a.rows,
            "kind_a": np.where(a.is_mix, "mix", "instrumental"),
            "row_b": b.rows,
            "kind_b": np.where(b.is_mix, "mix", "instrumental"),
            "prompt_row": a.prompt_rows,
            "winner": winner,
            "p_bayes": p_bayes,
        }
    )
