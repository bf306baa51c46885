"""The four data sets from tiny files in their published forms."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from attm_core.data.preference_datasets import (
    COLUMNS,
    normalize_winner,
    read_aime,
    read_music_arena,
    read_musicprefs,
    read_rows,
    read_songeval,
)
from attm_core.data.preference_ratings import AXES
from attm_core.errors import InputError


def write(path: Path, rows: Any) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    elif path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text(json.dumps(rows))
    return path


def battle(number: int, vote: str) -> dict[str, str]:
    return {
        "battle_uuid": f"uuid-{number}",
        "vote": vote,
        "prompt": "a slow waltz",
        "a_audio": f"{number}_a.wav",
        "b_audio": f"{number}_b.wav",
    }


def song(name: str, *ratings: float) -> dict[str, Any]:
    """A song whose annotators give one rating each on all axes."""
    return {"song_id": name, "annotation": [dict.fromkeys(AXES, rating) for rating in ratings]}


BATTLES = [battle(n, vote) for n, vote in enumerate(["A", "B", "TIE", "BOTH_BAD"])]


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_music_arena_keeps_decided_votes_only_by_default(tmp_path, suffix):
    table = read_music_arena(write(tmp_path / f"battles{suffix}", BATTLES))
    assert tuple(table.columns) == COLUMNS
    assert table["pair_id"].tolist() == ["uuid-0", "uuid-1"]
    assert table["winner"].tolist() == ["model_a", "model_b"]
    assert set(table["source"]) == {"MusicArena"}
    assert table["prompt_shown"].all()


def test_music_arena_can_keep_tie_and_both_bad_as_ties(tmp_path):
    table = read_music_arena(write(tmp_path / "battles.json", BATTLES), keep_ties=True)
    assert table["winner"].tolist() == ["model_a", "model_b", "tie", "tie"]


def test_musicprefs_keeps_its_prompt_and_says_that_nobody_saw_it(tmp_path):
    row = {"prompt": "drums", "a_audio": "a", "b_audio": "b"}
    rows = [{**row, "winner": winner} for winner in ("A", "draw", "", None, "model_b")]
    table = read_musicprefs(write(tmp_path / "prefs.parquet", rows))
    assert table["pair_id"].tolist()[:2] == ["prefs_000000", "prefs_000001"]
    assert table["winner"].tolist() == ["model_a", "tie", "tie", "tie", "model_b"]
    assert set(table["prompt"]) == {"drums"}
    assert not table["prompt_shown"].any()


def aime_files(folder: Path, answers: list[dict[str, str]]) -> tuple[Path, Path]:
    tracks = [
        {"id": "1", "model": "musicgen", "description": "jazz, piano, calm", "audio": "1.mp3"},
        {"id": "2", "model": "MTG-Jamendo", "description": "jazz, piano, calm", "audio": "2.mp3"},
        {"id": "3", "model": "musicgen", "description": "rock, guitar, loud", "audio": "3.mp3"},
    ]
    return write(folder / "survey.json", answers), write(folder / "tracks.json", tracks)


def test_aime_joins_answers_with_tracks_and_numbers_them(tmp_path):
    answers = [
        {"a_id": "1", "b_id": "2", "winner": "b"},
        {"a_id": "2", "b_id": "1", "winner": "tie"},
    ]
    table = read_aime(*aime_files(tmp_path, answers))
    assert table["pair_id"].tolist() == ["aime_000000", "aime_000001"]
    assert table["prompt"].tolist() == ["jazz, piano, calm"] * 2
    assert table[["a_audio", "b_audio"]].to_numpy().tolist() == [
        ["1.mp3", "2.mp3"],
        ["2.mp3", "1.mp3"],
    ]
    assert table["winner"].tolist() == ["model_b", "tie"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"a_id": "1", "b_id": "9", "winner": "a"}, "track '9', which is not listed"),
        ({"a_id": "1", "b_id": "3", "winner": "a"}, "different descriptions"),
        ({"a_id": "1", "winner": "a"}, "row 0 has no field b_id"),
        ({"a_id": "1", "b_id": "2", "winner": "first"}, "unknown winner 'first'"),
    ],
)
def test_malformed_aime_answers_are_refused(tmp_path, answer, message):
    with pytest.raises(InputError, match=message):
        read_aime(*aime_files(tmp_path, [answer]))


def test_songeval_ratings_become_pairs_without_prompt(tmp_path):
    songs = [song("low", 1, 2), song("middle", 2, 2), song("high", 5, 4)]
    table = read_songeval(write(tmp_path / "metadata.jsonl", songs), n_pairs=3)
    assert table["pair_id"].tolist() == [f"songeval_{n:06d}" for n in range(3)]
    assert set(table["prompt"]) == {""}
    rank = {"mp3/low.mp3": 1.5, "mp3/middle.mp3": 2.0, "mp3/high.mp3": 4.5}
    for row in table.itertuples():
        a_higher = rank[row.a_audio] > rank[row.b_audio]
        assert row.winner == ("model_a" if a_higher else "model_b")


def test_songeval_pairs_follow_the_seed_and_the_gap(tmp_path):
    songs = [song(f"s{n}", 1 + 0.1 * n) for n in range(30)]
    path = write(tmp_path / "metadata.jsonl", songs)
    first, again = read_songeval(path, 50), read_songeval(path, 50)
    assert first.equals(again)
    assert not first.equals(read_songeval(path, 50, seed=43))
    number = first[["a_audio", "b_audio"]].map(lambda name: int(Path(name).stem[1:]))
    assert (number["a_audio"] - number["b_audio"]).abs().min() >= 5
    with pytest.raises(InputError, match="ask for fewer or lower the gap"):
        read_songeval(path, 5000)


def test_songs_may_be_named_by_their_files(tmp_path):
    rows = [
        {"file_name": f"audio/{n}.wav", "annotation": song("", rating)["annotation"]}
        for n, rating in enumerate((1, 5))
    ]
    table = read_songeval(write(tmp_path / "metadata.jsonl", rows), n_pairs=1)
    assert set(table[["a_audio", "b_audio"]].iloc[0]) == {"audio/0.wav", "audio/1.wav"}


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ([], "must be a list"),
        ({"Coherence": 3}, "must be a list"),
        ([{"Coherence": 3}], "a rating is missing"),
        ([dict.fromkeys(AXES, "good")], "not a number"),
        ([dict.fromkeys(AXES, float("nan"))], "not finite"),
    ],
)
def test_malformed_ratings_are_refused(tmp_path, annotation, message):
    rows = [{"song_id": "s", "annotation": annotation}]
    with pytest.raises(InputError, match=message):
        read_songeval(write(tmp_path / "metadata.jsonl", rows), 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vote": "C"}, "unknown vote 'C'"),
        ({"vote": None}, "unknown vote None"),
        ({"battle_uuid": "uuid-0"}, "'uuid-0' occurs twice"),
    ],
)
def test_malformed_battles_are_refused(tmp_path, change, message):
    rows = [battle(0, "A"), {**battle(1, "B"), **change}]
    with pytest.raises(InputError, match=message):
        read_music_arena(write(tmp_path / "battles.json", rows))


def test_a_missing_field_is_named_with_those_present(tmp_path):
    row = battle(0, "A")
    del row["a_audio"]
    with pytest.raises(InputError, match=r"row 0 has no field a_audio; it has \['b_audio'"):
        read_music_arena(write(tmp_path / "battles.json", [row]))


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_unreadable_files_are_refused(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    with pytest.raises(InputError, match="does not exist"):
        read_rows(path)
    path.write_text('{"half": ')
    with pytest.raises(InputError, match="rows"):
        read_rows(path)


def test_rows_that_are_no_records_are_refused(tmp_path):
    with pytest.raises(InputError, match="must hold a list of records"):
        read_rows(write(tmp_path / "rows.json", {"a": 1}))


@pytest.mark.parametrize(
    ("label", "winner"),
    [("A", "model_a"), (" model_b ", "model_b"), ("Draw", "tie"), ("", "tie"), (None, "tie")],
)
def test_spellings_of_winners(label, winner):
    assert normalize_winner(label) == winner
