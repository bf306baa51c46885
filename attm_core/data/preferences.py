"""The four open preference data sets (Section III-C), read from their published forms to one table.

Music Arena, MusicPrefs and AIME hold votes; SongEval holds ratings, which are made into pairs here.
Files are JSON lists, JSON lines or Parquet. Every reader returns one row per pair in the columns
`COLUMNS`: an id, which the split files list, the source, the prompt (``""`` for none), the files of
both sides, relative to the data set's folder, the winner (``model_a``, ``model_b`` or ``tie``), and
whether annotators saw the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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

_ARENA_VOTES = {"a": "model_a", "b": "model_b", "tie": "tie", "both_bad": "tie"}
_WINNERS = {"a": "model_a", "b": "model_b", "draw": "tie", "": "tie"}
_WINNERS |= {name: name for name in ("model_a", "model_b", "tie")}


def read_music_arena(path: Path) -> pd.DataFrame:
    """Music Arena battles: ``battle_uuid``, ``vote`` in A, B, TIE, BOTH_BAD, a prompt, two files.

    The last two votes are ties; the released splits list no battle that ended in one.

    Raises:
        InputError: missing file, missing field, unknown vote, or an id that occurs twice.
    """
    battles = _records(path, "vote", "prompt", "a_audio", "b_audio")
    return _table(battles, "MusicArena", battles["vote"], _ARENA_VOTES)


def read_musicprefs(path: Path) -> pd.DataFrame:
    """MusicPrefs votes; without ids row n is named ``prefs_NNNNNN``.

    Raises:
        InputError: missing file or field, unknown winner, or an id that occurs twice.
    """
    votes = _records(path, "winner", "prompt", "a_audio", "b_audio", prefix="prefs")
    return _table(votes, "MusicPrefs", votes["winner"])


def read_aime(survey: Path, tracks: Path) -> pd.DataFrame:
    """AIME survey answers joined with the tracks they compare; the prompt is their description.

    Rows of the survey have ``a_id``, ``b_id`` and ``winner``; row n is the pair ``aime_NNNNNN``.
    Those of the tracks have ``id``, ``model``, ``description`` (three Jamendo tags) and ``audio``.

    Raises:
        InputError: missing file or field, a track that is not listed, two tracks of different
            descriptions, or an unknown winner.
    """
    answers = _records(survey, "a_id", "b_id", "winner", prefix="aime")
    library = _records(tracks, "id", "description", "audio", prefix="track")
    library = library.set_index(library["id"].astype(str))
    ids = answers[["a_id", "b_id"]].astype(str)
    if unlisted := sorted({*ids["a_id"], *ids["b_id"]} - {*library.index}):
        raise InputError(f"{survey} compares {unlisted}, which {tracks} does not list")
    a, b = (library.loc[ids[side]].reset_index(drop=True) for side in ids)
    if (other := a["description"] != b["description"]).any():
        row = int(other.argmax())
        raise InputError(f"{survey} row {row}: the two tracks answer different descriptions")
    files = {"prompt": a["description"], "a_audio": a["audio"], "b_audio": b["audio"]}
    return _table(answers.assign(**files), "AIME", answers["winner"])


def read_songeval(
    path: Path, n_pairs: int = 3760, min_gap: float = 0.5, seed: int = 42
) -> pd.DataFrame:
    """SongEval ratings made into pairs; no prompt exists, so the text feature is zero.

    Rows have ``song_id``, ``id`` or ``file_name`` (its stem names the song; ``mp3/<song>.mp3`` if
    there is none) and ``annotation``: a list of the five axes' ratings, one mapping per annotator.
    Means of a pair differ by at least ``min_gap`` rating points; of a song's rows the last counts.

    Raises:
        InputError: missing file or field, a song without ratings, or too few songs that differ.
    """
    rows = _records(path, "annotation", prefix="row")
    named = next((name for name in ("song_id", "id", "file_name") if name in rows), None)
    if named is None:
        raise InputError(f"{path} has no field song_id, id or file_name; it has {[*rows.columns]}")
    songs = pd.DataFrame({"song": [Path(str(name)).stem for name in rows[named]]})
    songs["file"] = rows["file_name"] if "file_name" in rows else "mp3/" + songs["song"] + ".mp3"
    annotated = zip(rows["annotation"], songs["song"], strict=True)
    songs["rating"] = [_mean_rating(annotation, song) for annotation, song in annotated]
    songs = songs.drop_duplicates("song", keep="last").sort_values("song")
    ratings, files = songs["rating"].to_numpy(), songs["file"].to_numpy()
    a, b = synthesize_pairs(ratings, n_pairs, min_gap, np.random.default_rng(seed)).T
    pairs = pd.DataFrame({"prompt": "", "a_audio": files[a], "b_audio": files[b]})
    pairs["pair_id"] = [f"songeval_{number:06d}" for number in pairs.index]
    return _table(pairs, "SongEval", pd.Series(np.where(ratings[a] > ratings[b], "a", "b")))


def _mean_rating(annotation: Any, song: str) -> float:
    """Mean over the five axes of each axis' mean over annotators, in rating points."""
    try:
        ratings = np.array([[float(one[axis]) for axis in AXES] for one in annotation])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"song {song}: a rating is missing or not a number ({error})") from error
    if not ratings.size or not np.isfinite(ratings).all():
        raise InputError(f"song {song}: every annotator's ratings must be there and finite")
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


def _records(path: Path, *needed: str, prefix: str = "") -> pd.DataFrame:
    """The records of a file, with ``pair_id``: by ``prefix`` and number where they have none."""
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
    for number, row in enumerate(rows):
        if missing := [name for name in needed if name not in row]:
            raise InputError(f"{path} row {number} has no field {missing[0]}; it has {sorted(row)}")
        own = [row[name] for name in ("pair_id", "battle_uuid", "uuid") if row.get(name)]
        if not own and not prefix:
            raise InputError(f"{path} row {number} has no pair_id or battle_uuid")
        row["pair_id"] = str(own[0]) if own else f"{prefix}_{number:06d}"
    return pd.DataFrame(rows, columns=None if rows else ["pair_id", *needed])


def _table(
    rows: pd.DataFrame, source: str, label: pd.Series[Any], known: Mapping[str, str] = _WINNERS
) -> pd.DataFrame:
    """The rows in the columns `COLUMNS`; ``known`` spells winners, blanks among them or not."""
    winner = label.map(lambda value: known.get(_text(value).strip().lower()))
    if (odd := winner.isna()).any():
        row = int(odd.argmax())
        raise InputError(
            f"{source} row {row}: unknown {label.name} {label[row]!r}; expected one of "
            f"{sorted(known)}"
        )
    if (twice := rows["pair_id"].duplicated()).any():
        raise InputError(f"pair {rows.loc[twice, 'pair_id'].iloc[0]!r} occurs twice")
    texts = {name: rows[name].map(_text) for name in ("prompt", "a_audio", "b_audio")}
    shown = source != "MusicPrefs"
    table = rows.assign(**texts, source=source, winner=winner, prompt_shown=shown)
    return table[list(COLUMNS)]


def _text(value: Any) -> str:
    """``value`` as text; None and NaN (a blank cell of a table) are empty."""
    return "" if value is None or value != value else str(value)
