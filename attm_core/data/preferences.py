"""The four open preference data sets (Section III-C), read from their published forms to one table.

Music Arena, MusicPrefs and AIME hold votes; SongEval holds ratings, which are made into pairs here.
Every reader returns one row per pair in the columns `COLUMNS`: an id, which the split files list,
the source, the prompt (``""`` for none), the files of both sides, relative to the data set's
folder, the winner (``model_a``, ``model_b`` or ``tie``), and whether annotators saw the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attm_core.errors import InputError
from attm_core.files import read_json

SOURCES = ("MusicArena", "MusicPrefs", "AIME", "SongEval")
SPLITS = ("train", "valid", "test")
COLUMNS = ("pair_id", "source", "prompt", "a_audio", "b_audio", "winner", "prompt_shown")
# PAPER-DEVIATION: the paper says that each source releases human votes on pairs; SongEval releases
# ratings on five axes, and the released code makes pairs of songs whose mean ratings differ by 0.5
# or more. So do we; the higher rated song wins.
AXES = ("Coherence", "Musicality", "Memorability", "Clarity", "Naturalness")

_ARENA_VOTES = {"A": "model_a", "B": "model_b", "TIE": "tie", "BOTH_BAD": "tie"}
_WINNERS = {"a": "model_a", "b": "model_b", "draw": "tie", "": "tie"}
_WINNERS |= {name: name for name in ("model_a", "model_b", "tie")}


def read_music_arena(path: Path, keep_ties: bool = False) -> pd.DataFrame:
    """Music Arena battles: ``battle_uuid``, ``vote`` in A, B, TIE, BOTH_BAD, a prompt, two files.

    The released splits hold A and B only; ``keep_ties`` keeps the others, both as ties.

    Raises:
        InputError: missing file, missing field, unknown vote, or an id that occurs twice.
    """
    pairs = []
    for number, row in enumerate(_rows(path)):
        vote = _field(row, number, "vote")
        if vote not in _ARENA_VOTES:
            raise InputError(f"{path} row {number}: unknown vote {vote!r}")
        if vote in ("A", "B") or keep_ties:
            pairs.append(_pair(row, number, "MusicArena", _ARENA_VOTES[vote]))
    return _table(pairs)


def read_musicprefs(path: Path) -> pd.DataFrame:
    """MusicPrefs votes; a row without an id is named ``prefs_NNNNNN`` by its number.

    Raises:
        InputError: missing file or field, unknown winner, or an id that occurs twice.
    """
    rows = ({"pair_id": f"prefs_{n:06d}", **row} for n, row in enumerate(_rows(path)))
    return _table(_pair(row, n, "MusicPrefs", _winner(row, n)) for n, row in enumerate(rows))


def read_aime(survey: Path, tracks: Path) -> pd.DataFrame:
    """AIME survey answers joined with the tracks they compare; the prompt is their description.

    Rows of the survey have ``a_id``, ``b_id`` and ``winner``; row n is the pair ``aime_NNNNNN``.
    Those of the tracks have ``id``, ``model``, ``description`` (three Jamendo tags) and ``audio``.

    Raises:
        InputError: missing file or field, a track that is not listed, two tracks of different
            descriptions, or an unknown winner.
    """
    library = {str(_field(row, n, "id")): row for n, row in enumerate(_rows(tracks))}
    pairs = []
    for number, row in enumerate(_rows(survey)):
        ids = [str(_field(row, number, key)) for key in ("a_id", "b_id")]
        if missing := [track for track in ids if track not in library]:
            raise InputError(f"survey row {number} compares {missing}, which are not listed")
        a, b = (library[track] for track in ids)
        if (prompt := _field(a, number, "description")) != _field(b, number, "description"):
            raise InputError(f"{survey} row {number}: the two tracks answer different descriptions")
        named = {"pair_id": row.get("pair_id") or f"aime_{number:06d}", "prompt": prompt}
        files = {"a_audio": _field(a, number, "audio"), "b_audio": _field(b, number, "audio")}
        pairs.append(_pair(named | files, number, "AIME", _winner(row, number)))
    return _table(pairs)


def read_songeval(
    path: Path, n_pairs: int = 3760, min_gap: float = 0.5, seed: int = 42
) -> pd.DataFrame:
    """SongEval ratings made into pairs; no prompt exists, so the text feature is zero.

    Rows have ``song_id``, ``id`` or ``file_name`` (its stem names the song; ``mp3/<song>.mp3`` if
    there is none) and ``annotation``: a list of the five axes' ratings, one mapping an annotator.
    Means of a pair differ by at least ``min_gap`` rating points.

    Raises:
        InputError: missing file or field, a song without ratings, or too few songs that differ.
    """
    ratings: dict[str, float] = {}
    audio: dict[str, str] = {}
    for number, row in enumerate(_rows(path)):
        song = Path(str(_field(row, number, "song_id", "id", "file_name"))).stem
        ratings[song] = _mean_rating(_field(row, number, "annotation"), song)
        audio[song] = str(row.get("file_name") or f"mp3/{song}.mp3")
    songs = sorted(ratings)
    means = np.array([ratings[song] for song in songs])
    chosen = synthesize_pairs(means, n_pairs, min_gap, np.random.default_rng(seed))
    pairs = []
    for number, (a, b) in enumerate(chosen):
        files = {"a_audio": audio[songs[a]], "b_audio": audio[songs[b]]}
        named = {"pair_id": f"songeval_{number:06d}", "prompt": "", **files}
        winner = "model_a" if means[a] > means[b] else "model_b"
        pairs.append(_pair(named, number, "SongEval", winner))
    return _table(pairs)


def _mean_rating(annotation: Any, song: str) -> float:
    """Mean over the five axes of each axis' mean over annotators, in rating points."""
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
    """Draw distinct pairs (n_pairs, 2) uniformly among those of `pairs_apart`.

    Which side comes first is drawn too.

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


def assign_splits(pairs: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The pairs that a released split file lists, with a column ``split``; others are dropped.

    The file is JSON with the lists ``train``, ``valid`` and ``test`` of pair ids.

    Raises:
        InputError: missing or malformed file, an id that is listed twice or not among ``pairs``.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(s), list) for s in SPLITS):
        raise InputError(f"{path} must hold the lists train, valid and test")
    listed = [(str(pair_id), split) for split in SPLITS for pair_id in content[split]]
    split_of = dict(listed)
    if len(split_of) < len(listed):
        raise InputError(f"{path} lists {len(listed) - len(split_of)} pair ids twice")
    if missing := set(split_of) - set(pairs["pair_id"]):
        raise InputError(f"{len(missing)} listed pairs are missing, such as {min(missing)!r}")
    assigned = pairs.assign(split=pairs["pair_id"].map(split_of))
    return assigned[assigned["split"].notna()].reset_index(drop=True)


def _rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON list, a JSON-lines file or a Parquet file."""
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            rows: Any = pd.read_parquet(path).to_dict("records")
        elif path.suffix == ".jsonl":
            lines = path.read_text(encoding="utf-8").splitlines()
            rows = [json.loads(line) for line in lines if line.strip()]
        else:
            rows = read_json(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path} must hold a list of records")
    return rows


def _pair(row: Mapping[str, Any], number: int, source: str, winner: str) -> tuple[Any, ...]:
    pair_id = str(_field(row, number, "pair_id", "battle_uuid", "uuid"))
    files = (str(_field(row, number, side)) for side in ("a_audio", "b_audio"))
    prompt = _text(_field(row, number, "prompt"))
    return pair_id, source, prompt, *files, winner, source != "MusicPrefs"


def _table(pairs: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    table = pd.DataFrame(pairs, columns=list(COLUMNS))
    if (twice := table["pair_id"].duplicated()).any():
        raise InputError(f"pair {table.loc[twice, 'pair_id'].iloc[0]!r} occurs twice")
    return table


def _winner(row: Mapping[str, Any], number: int) -> str:
    """The winner from the spellings in use; draws and blanks are ties."""
    label = _field(row, number, "winner")
    text = _text(label).strip().lower()
    if text not in _WINNERS:
        raise InputError(f"unknown winner {label!r}; expected one of {sorted(_WINNERS)}")
    return _WINNERS[text]


def _text(value: object) -> str:
    """``value`` as text; None and NaN (a blank cell of a table) are empty."""
    return "" if value is None or value != value else str(value)


def _field(row: Mapping[str, Any], number: int, *names: str) -> Any:
    """The first of ``names`` that the row has."""
    for name in names:
        if name in row:
            return row[name]
    raise InputError(f"row {number} has no field {' or '.join(names)}; it has {sorted(row)}")
