"""The four open preference data sets (Section III-C) read from their published forms to one table.

Music Arena, MusicPrefs and AIME hold votes; SongEval holds ratings, which are made into pairs here.
Every reader returns a data frame with the columns of ``PairRecord``, one row a pair.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attm_core.data.preference_ratings import mean_rating, synthesize_pairs
from attm_core.errors import InputError
from attm_core.files import read_json

SOURCES = ("MusicArena", "MusicPrefs", "AIME", "SongEval")
ARENA_VOTES = {"A": "model_a", "B": "model_b", "TIE": "tie", "BOTH_BAD": "tie"}
WINNER_OF_LABEL = {
    "model_a": "model_a",
    "a": "model_a",
    "model_b": "model_b",
    "b": "model_b",
    "tie": "tie",
    "draw": "tie",
    "": "tie",
}


@dataclass(frozen=True)
class PairRecord:
    """One vote on two recordings.

    Attributes:
        pair_id: unique name; what the split files list.
        source: one of ``SOURCES``.
        prompt: the text that goes to the ranker, ``""`` for none.
        a_audio: file of side A, relative to the data set's folder.
        b_audio: file of side B.
        winner: ``model_a``, ``model_b`` or ``tie``.
        prompt_shown: False where annotators did not see the prompt (MusicPrefs).
    """

    pair_id: str
    source: str
    prompt: str
    a_audio: str
    b_audio: str
    winner: str
    prompt_shown: bool = True


COLUMNS = tuple(field.name for field in fields(PairRecord))


def normalize_winner(label: object) -> str:
    """``model_a``, ``model_b`` or ``tie`` from the spellings in use; draws and blanks are ties.

    Raises:
        InputError: any other label.
    """
    text = _text(label).strip().lower()
    if text not in WINNER_OF_LABEL:
        raise InputError(f"unknown winner {label!r}; expected one of {sorted(WINNER_OF_LABEL)}")
    return WINNER_OF_LABEL[text]


def read_music_arena(path: Path, keep_ties: bool = False) -> pd.DataFrame:
    """Music Arena battles: ``battle_uuid``, ``vote`` in A, B, TIE, BOTH_BAD, a prompt, two files.

    Args:
        path: JSON list, JSON lines or Parquet.
        keep_ties: keep TIE and BOTH_BAD, both as ties. The released splits hold A and B only.

    Raises:
        InputError: missing file, missing field, unknown vote, or an id that occurs twice.
    """
    records = []
    for number, row in enumerate(read_rows(path)):
        vote = _field(row, number, "vote")
        if vote not in ARENA_VOTES:
            raise InputError(f"{path} row {number}: unknown vote {vote!r}")
        if vote in ("A", "B") or keep_ties:
            records.append(_pair(row, number, "MusicArena", ARENA_VOTES[vote]))
    return pair_table(records)


def read_musicprefs(path: Path) -> pd.DataFrame:
    """MusicPrefs votes; a row without an id is named ``prefs_NNNNNN`` by its number.

    The prompt is kept although the annotators did not see it (``prompt_shown`` is False).

    Raises:
        InputError: missing file or field, unknown winner, or an id that occurs twice.
    """
    return _read_votes(path, "MusicPrefs", "prefs")


def read_aime(survey: Path, tracks: Path) -> pd.DataFrame:
    """AIME survey answers joined with the tracks they compare.

    Args:
        survey: rows with ``a_id``, ``b_id`` and ``winner``; row n is the pair ``aime_NNNNNN``.
        tracks: rows with ``id``, ``model``, ``description`` (three Jamendo tags) and ``audio``; the
            500 real MTG-Jamendo tracks are one of its models. The prompt is the description.

    Raises:
        InputError: missing file or field, a track that is not listed, two tracks of different
            descriptions, or an unknown winner.
    """
    library = {str(_field(row, n, "id")): row for n, row in enumerate(read_rows(tracks))}
    records = []
    for number, row in enumerate(read_rows(survey)):
        a, b = (_track(library, str(_field(row, number, key)), number) for key in ("a_id", "b_id"))
        if a["description"] != b["description"]:
            raise InputError(f"{survey} row {number}: the two tracks answer different descriptions")
        record = {
            "pair_id": row.get("pair_id") or f"aime_{number:06d}",
            "prompt": a["description"],
            "a_audio": a["audio"],
            "b_audio": b["audio"],
        }
        winner = normalize_winner(_field(row, number, "winner"))
        records.append(_pair(record, number, "AIME", winner))
    return pair_table(records)


def read_songeval(
    path: Path, n_pairs: int = 3760, min_gap: float = 0.5, seed: int = 42
) -> pd.DataFrame:
    """SongEval ratings made into pairs; no prompt exists, so the text feature is zero.

    Args:
        path: ``metadata.jsonl`` rows with ``song_id``, ``id`` or ``file_name`` (its stem names the
            song, its default is ``mp3/<song>.mp3``) and ``annotation``: a list of the five axes'
            ratings, one mapping an annotator.
        n_pairs: pairs wanted.
        min_gap: least difference of mean ratings, in rating points.
        seed: of the draw.

    Raises:
        InputError: missing file or field, a song without ratings, or too few songs that differ.
    """
    ratings: dict[str, float] = {}
    audio: dict[str, str] = {}
    for number, row in enumerate(read_rows(path)):
        song = Path(str(_field(row, number, "song_id", "id", "file_name"))).stem
        ratings[song] = mean_rating(_field(row, number, "annotation"), song)
        audio[song] = str(row.get("file_name") or f"mp3/{song}.mp3")
    songs = sorted(ratings)
    means = np.array([ratings[song] for song in songs])
    chosen = synthesize_pairs(means, n_pairs, min_gap, np.random.default_rng(seed))
    return pair_table(
        PairRecord(
            f"songeval_{number:06d}", "SongEval", "", audio[songs[a]], audio[songs[b]],
            "model_a" if means[a] > means[b] else "model_b",
        )
        for number, (a, b) in enumerate(chosen)
    )  # fmt: skip


def pair_table(records: Iterable[PairRecord]) -> pd.DataFrame:
    """One row a record, in the columns of ``PairRecord``.

    Raises:
        InputError: two records with the same ``pair_id``.
    """
    table = pd.DataFrame([asdict(record) for record in records], columns=list(COLUMNS))
    if (twice := table["pair_id"].duplicated()).any():
        raise InputError(f"pair {table.loc[twice, 'pair_id'].iloc[0]!r} occurs twice")
    return table


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON list, a JSON-lines file or a Parquet file.

    Raises:
        InputError: missing or unreadable file, or rows that are not mappings.
    """
    path = Path(path)
    readers = {".jsonl": _read_lines, ".parquet": _read_parquet}
    try:
        rows = readers.get(path.suffix, read_json)(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path} must hold a list of records")
    return rows


def _read_lines(path: Path) -> Any:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def _read_parquet(path: Path) -> Any:
    return pd.read_parquet(path).to_dict("records")


def _read_votes(path: Path, source: str, prefix: str) -> pd.DataFrame:
    return pair_table(
        _pair(
            {"pair_id": f"{prefix}_{number:06d}", **row},
            number,
            source,
            normalize_winner(_field(row, number, "winner")),
        )
        for number, row in enumerate(read_rows(path))
    )


def _pair(row: Mapping[str, Any], number: int, source: str, winner: str) -> PairRecord:
    return PairRecord(
        pair_id=str(_field(row, number, "pair_id", "battle_uuid", "uuid")),
        source=source,
        prompt=_text(_field(row, number, "prompt")),
        a_audio=str(_field(row, number, "a_audio")),
        b_audio=str(_field(row, number, "b_audio")),
        winner=winner,
        prompt_shown=source != "MusicPrefs",
    )


def _track(library: Mapping[str, Mapping[str, Any]], track: str, number: int) -> dict[str, str]:
    if track not in library:
        raise InputError(f"survey row {number} compares track {track!r}, which is not listed")
    row = library[track]
    return {key: str(_field(row, number, key)) for key in ("description", "audio")}


def _text(value: object) -> str:
    """``value`` as text; None and NaN (a blank cell of a table) are empty."""
    return "" if value is None or value != value else str(value)


def _field(row: Mapping[str, Any], number: int, *names: str) -> Any:
    """The first of ``names`` that the row has."""
    for name in names:
        if name in row:
            return row[name]
    raise InputError(f"row {number} has no field {' or '.join(names)}; it has {sorted(row)}")
