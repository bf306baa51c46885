"""Simulated listeners: what a clip is worth to one of them, and how they vote and rate.

Stand-ins for the people behind Music Arena, MusicPrefs, AIME and SongEval (Section III-C). To
listener l a clip is worth

    u_l = w_q · z(quality) + w_f · z(fit to the prompt) + v_l · voice,   v_l ~ N(w_v, spread²)

where z is the standard score over the clips that take part, ``fit`` counts only for listeners who
see the prompt, and ``voice`` is the amplitude of the sung part over that of the instruments where
the listener hears the mix, and 0 for an instrumental stem.

Votes follow Rao and Kupper's extension of Bradley–Terry to ties, temperature τ, threshold θ:
P(A) = σ((u_A − u_B)/τ − θ), P(B) = σ((u_B − u_A)/τ − θ), and a tie otherwise.
"""

# MINI-WORLD: with w_v > 0 the average listener likes a voice somewhat, and some do not. It is the
# one built-in reason for a ranker's score to track vocal presence; `voice_weight = 0` takes it out.

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from attm_companion.arrays import Array, Rows
from attm_core.errors import ConfigError, InputError

REQUIRED = ("quality", "has_voice", "voice_level", "tags", "caption", "piece_id", "split")


@dataclass(frozen=True)
class ListenerConfig:
    """Tastes of the population; weights are in units of the votes' logit at temperature 1."""

    quality_weight: float = 1.2  # w_q, per standard deviation of production quality
    fit_weight: float = 0.7  # w_f, per standard deviation of fit to the prompt
    voice_weight: float = 0.6  # w_v, mean taste for a voice as loud as the instruments
    voice_spread: float = 0.5  # standard deviation of that taste over listeners
    n_listeners: int = 32  # that a source draws its votes from

    def __post_init__(self) -> None:
        if self.voice_spread < 0 or self.n_listeners < 1:
            raise ConfigError("listeners need a spread of at least 0 and a panel of at least 1")


@dataclass(frozen=True)
class VoteSource:
    """How one source of votes works."""

    name: str  # as in `attm_core.data.preferences.SOURCES`
    prefix: str  # of its pair ids
    real_sizes: tuple[int, int, int]  # pairs of the real train, valid and test splits
    temperature: float  # τ of the votes; more is noisier
    tie_threshold: float  # θ of the votes
    mix_share: float  # probability that a side is a mix rather than an instrumental stem
    n_systems: int  # bands of production quality that pairs are drawn across; 1 for no bands
    real_tracks: float = 0.0  # probability that a side is the very clip that the prompt describes
    sees_prompt: bool = True  # whether listeners judge the fit to the prompt
    keeps_ties: bool = True  # whether undecided votes stay in the data
    tag_prompts: bool = False  # prompts are three tags rather than a caption


VOTE_SOURCES = (
    VoteSource("MusicArena", "arena", (571, 54, 74), 0.9, 0.3, 0.5, 4, keeps_ties=False),
    VoteSource("MusicPrefs", "prefs", (2012, 251, 252), 0.8, 0.1, 0.0, 1, sees_prompt=False),
    VoteSource("AIME", "aime", (12480, 1560, 1560), 1.0, 0.1, 0.5, 12, 1 / 13, tag_prompts=True),
)
SONGEVAL, SONGEVAL_SIZES, SONGEVAL_SONGS = "SongEval", (2491, 246, 249), 2399
MIN_GAP = 0.5  # rating points between the songs of a pair
N_REAL_PAIRS = sum(sum(source.real_sizes) for source in VOTE_SOURCES) + sum(SONGEVAL_SIZES)


@dataclass(frozen=True)
class PreferenceConfig:
    """Size and listeners of the simulated votes; the defaults are the ``mini`` profile's."""

    n_pairs: int = 3000  # votes of all sources and splits together (21,800 in the real ones)
    clip_splits: tuple[str, ...] = ("train", "valid")  # whose clips are voted on
    candidates: int = 4  # that a side takes the best fitting of: real systems follow the prompt
    listeners: ListenerConfig = field(default_factory=ListenerConfig)
    annotators_per_song: int = 4  # raters of one SongEval song
    annotator_noise: float = 0.9  # deviation over annotators of a whole song, in rating points
    rating_noise: float = 0.9  # standard deviation of one rating on one axis, in rating points
    min_songs: int = 120  # rated at least, so that small profiles have pairs in every split
    n_replicates: int = 200  # simulated repetitions of the ratings behind ``p_bayes``

    def __post_init__(self) -> None:
        sizes = (self.candidates, self.annotators_per_song, self.min_songs, self.n_replicates)
        if self.n_pairs < 100 or min(sizes) < 1:
            raise ConfigError("n_pairs must be 100 or more, and one of everything else")

    def sizes(self, real: tuple[int, int, int]) -> tuple[int, int, int]:
        """Train, valid and test pairs of a source, in proportion to its real ones; at least one."""
        train, valid, test = (max(1, round(n * self.n_pairs / N_REAL_PAIRS)) for n in real)
        return train, valid, test


@dataclass(frozen=True)
class Items:
    """n things heard: a clip each, and whether its mix or its instrumental stem."""

    rows: Rows  # (n,) positions in the clip table
    is_mix: NDArray[np.bool_]  # (n,)
    prompt_rows: Rows  # (n,) position of the clip whose text is the prompt


@dataclass(frozen=True)
class ClipWorth:
    """What of a clip listeners care about, as standard scores over the clips that take part."""

    quality: Array  # (clips,) z(quality)
    voice: Array  # (clips,) amplitude against that of the instruments, 0 without one
    fit: Array  # (clips, clips) z(fit) of column clip to row clip's prompt

    def common(self, items: Items, config: ListenerConfig, sees_prompt: bool) -> Array:
        """Utility (n,) without the taste for voices: the part all listeners agree on."""
        worth = config.quality_weight * self.quality[items.rows]
        if sees_prompt:
            worth = worth + config.fit_weight * self.fit[items.prompt_rows, items.rows]
        return worth

    def heard_voice(self, items: Items) -> Array:
        """Voice (n,) that is heard: that of the mixes."""
        return np.where(items.is_mix, self.voice[items.rows], 0.0)


def clip_worth(table: pd.DataFrame, clap_fit: Array, pool: Rows) -> ClipWorth:
    """Standard scores of all clips of ``table`` relative to those of the rows ``pool``.

    Entry [p, c] of ``clap_fit`` (clips, clips) is how well clip c fits the prompt of clip p.

    Raises:
        InputError: missing columns (see ``REQUIRED``), a fit of the wrong shape or not finite, or a
            voice without level.
    """
    if missing := [name for name in REQUIRED if name not in table]:
        raise InputError(f"the clip table lacks the columns {missing}")
    if clap_fit.shape != (len(table), len(table)) or not np.isfinite(clap_fit).all():
        raise InputError(
            f"clap_fit must be finite and {len(table)} × {len(table)}, got {clap_fit.shape}"
        )
    quality = table["quality"].to_numpy(dtype=np.float64)
    return ClipWorth(
        quality=_standard(quality, quality[pool]),
        voice=_voice_presence(table),
        fit=_standard(np.asarray(clap_fit, dtype=np.float64), clap_fit[np.ix_(pool, pool)]),
    )


def _voice_presence(table: pd.DataFrame) -> Array:
    sung = table["has_voice"].to_numpy(dtype=bool)
    level_db = table["voice_level"].to_numpy(dtype=np.float64)
    if not np.isfinite(level_db[sung]).all():
        raise InputError("every clip with a voice needs a finite voice_level in dB")
    return np.where(sung, 10.0 ** (np.where(sung, level_db, 0.0) / 20.0), 0.0)


def draw_tastes(config: ListenerConfig, generator: np.random.Generator) -> Array:
    """Tastes for voices v_l (listeners,) of one panel."""
    return generator.normal(config.voice_weight, config.voice_spread, size=config.n_listeners)


def vote_probabilities(advantage: Array, tie_threshold: float) -> tuple[Array, Array]:
    """P(A) and P(B) of Rao–Kupper votes, elementwise; what is left to 1 is the tie.

    ``advantage`` is (u_A − u_B) / τ, ``tie_threshold`` θ ≥ 0; 0 is plain Bradley–Terry.
    """
    return expit(advantage - tie_threshold), expit(-advantage - tie_threshold)


def rate(utility: Array, mood: Array, noise: float, generator: np.random.Generator) -> Array:
    """Ratings from 1 to 5, one per entry of ``utility``: 3 for 0, one point more for 1.5 more.

    In rating points, ``mood`` is what an annotator adds on every axis of a song, ``noise`` the
    standard deviation of a single rating.
    """
    heard = 3.0 + utility / 1.5 + mood + noise * generator.standard_normal(utility.shape)
    return np.clip(np.rint(heard), 1.0, 5.0)


def _standard(values: Array, reference: Array) -> Array:
    spread = float(reference.std())
    return (values - float(reference.mean())) / (spread or 1.0)
