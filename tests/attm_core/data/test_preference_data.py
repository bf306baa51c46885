import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attm_companion.world.listeners import SONGEVAL_SIZES, VOTE_SOURCES
from attm_core.data import preferences
from attm_core.errors import InputError
from attm_core.files import read_json, write_json


def write(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    elif path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text(json.dumps(rows))
    return path


def battle(number, vote):
    files = {f"{side}_audio": f"{number}_{side}.wav" for side in "ab"}
    return {"battle_uuid": f"uuid-{number}", "vote": vote, "prompt": "a slow waltz", **files}


def song(name, *ratings):
    """A song whose annotators give one rating each on all axes."""
    rated = [dict.fromkeys(preferences.AXES, rating) for rating in ratings]
    return {"song_id": name, "annotation": rated}


BATTLES = [battle(n, vote) for n, vote in enumerate(["A", "B", "TIE", "BOTH_BAD"])]


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_music_arena_takes_both_bad_for_a_tie(tmp_path, suffix):
    table = preferences.read_music_arena(write(tmp_path / f"battles{suffix}", BATTLES))
    assert tuple(table.columns) == preferences.COLUMNS
    assert table["pair_id"].tolist() == [f"uuid-{number}" for number in range(4)]
    assert table["winner"].tolist() == ["model_a", "model_b", "tie", "tie"]
    assert set(table["source"]) == {"MusicArena"}
    assert table["prompt_shown"].all()


def test_musicprefs_keeps_its_prompt_and_says_that_nobody_saw_it(tmp_path):
    row = {"prompt": "drums", "a_audio": "a", "b_audio": "b"}
    rows = [{**row, "winner": winner} for winner in ("A", "Draw", "", None, " model_b ")]
    table = preferences.read_musicprefs(write(tmp_path / "prefs.parquet", rows))
    assert table["pair_id"].tolist()[:2] == ["prefs_000000", "prefs_000001"]
    assert table["winner"].tolist() == ["model_a", "tie", "tie", "tie", "model_b"]
    assert set(table["prompt"]) == {"drums"}
    assert not table["prompt_shown"].any()


def aime_files(folder, answers):
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
    table = preferences.read_aime(*aime_files(tmp_path, answers))
    assert table["pair_id"].tolist() == ["aime_000000", "aime_000001"]
    assert table["prompt"].tolist() == ["jazz, piano, calm"] * 2
    files = table[["a_audio", "b_audio"]].to_numpy().tolist()
    assert files == [["1.mp3", "2.mp3"], ["2.mp3", "1.mp3"]]
    assert table["winner"].tolist() == ["model_b", "tie"]


def test_songeval_ratings_become_pairs_without_prompt(tmp_path):
    songs = [song("low", 1, 2), song("middle", 2, 2), song("high", 5, 4)]
    songs[0]["annotation"][0] = dict(
        zip(preferences.AXES, (0, 0, 1, 2, 2), strict=True)
    )  # of mean 1
    table = preferences.read_songeval(write(tmp_path / "metadata.jsonl", songs), n_pairs=3)
    assert table["pair_id"].tolist() == [f"songeval_{n:06d}" for n in range(3)]
    assert set(table["prompt"]) == {""}
    rank = {"mp3/low.mp3": 1.5, "mp3/middle.mp3": 2.0, "mp3/high.mp3": 4.5}
    for row in table.itertuples():
        a_higher = rank[row.a_audio] > rank[row.b_audio]
        assert row.winner == ("model_a" if a_higher else "model_b")


def test_songeval_pairs_follow_the_seed_and_the_gap(tmp_path):
    songs = [song(f"s{n}", 1 + 0.1 * n) for n in range(30)]
    path = write(tmp_path / "metadata.jsonl", songs)
    first, again = preferences.read_songeval(path, 50), preferences.read_songeval(path, 50)
    assert first.equals(again)
    assert not first.equals(preferences.read_songeval(path, 50, seed=43))
    number = first[["a_audio", "b_audio"]].map(lambda name: int(Path(name).stem[1:]))
    assert (number["a_audio"] - number["b_audio"]).abs().min() >= 5
    with pytest.raises(InputError, match="ask for fewer or lower the gap"):
        preferences.read_songeval(path, 5000)


def rated(*annotation):
    return {"song_id": "s", "annotation": list(annotation)}


MUTE = {name: value for name, value in battle(1, "B").items() if name != "a_audio"}
ANSWER = {"a_id": "1", "b_id": "2", "winner": "a"}
MALFORMED = [
    (ANSWER | {"b_id": "9"}, "aime", r"compares \['9'\], which .* does not list"),
    (ANSWER | {"b_id": "3"}, "aime", "different descriptions"),
    ({"a_id": "1", "winner": "a"}, "aime", "row 0 has no field b_id"),
    (ANSWER | {"winner": "first"}, "aime", "unknown winner 'first'"),
    (battle(1, "C"), "battles", "unknown vote 'C'"),
    (battle(1, None), "battles", "unknown vote (None|nan)"),
    (battle(0, "B"), "battles", "'uuid-0' occurs twice"),
    (battle(1, "B") | {"battle_uuid": None}, "battles", "row 1 has no pair_id"),
    (MUTE, "battles", r"row 1 has no field a_audio; it has \['b_audio'"),
    (rated(), "songeval", "must be there and finite"),
    (rated({"Coherence": 3}), "songeval", "a rating is missing"),
    ({"song_id": "s", "annotation": {"Coherence": 3}}, "songeval", "a rating is missing"),
    (rated(dict.fromkeys(preferences.AXES, "good")), "songeval", "not a number"),
    (rated(dict.fromkeys(preferences.AXES, math.nan)), "songeval", "must be there and finite"),
]


@pytest.mark.parametrize(("record", "kind", "message"), MALFORMED)
def test_malformed_records_are_refused(tmp_path, record, kind, message):
    with pytest.raises(InputError, match=message):
        if kind == "aime":
            preferences.read_aime(*aime_files(tmp_path, [record]))
        elif kind == "songeval":
            preferences.read_songeval(write(tmp_path / "metadata.jsonl", [record]), 1)
        else:
            rows = [battle(0, "A"), record]  # ids must differ
            preferences.read_music_arena(write(tmp_path / "battles.json", rows))


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_unreadable_files_are_refused(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    with pytest.raises(InputError, match=r"does not exist|No such file"):
        preferences.read_musicprefs(path)
    path.write_text('{"half": ')
    with pytest.raises(InputError, match="rows"):
        preferences.read_musicprefs(path)
    with pytest.raises(InputError, match="must hold a list of records"):
        preferences.read_musicprefs(write(tmp_path / "rows.json", {"a": 1}))


def test_all_qualifying_pairs_are_drawn_alike_and_only_those():
    assert preferences.pairs_apart(np.array([1.0, 1.4, 1.5]), 0.5).tolist() == [[0, 2]]
    assert preferences.pairs_apart(np.array([1.0]), 0.5).shape == (0, 2)
    ratings = np.array([1.0, 1.4, 1.5, 3.0])
    pairs = preferences.synthesize_pairs(ratings, 4, 0.5, np.random.default_rng(0))
    assert {tuple(sorted(pair)) for pair in pairs.tolist()} == {(0, 2), (0, 3), (1, 3), (2, 3)}
    with pytest.raises(InputError, match=r"5 pairs with a gap of .* asked for, 4 exist among 4"):
        preferences.synthesize_pairs(ratings, 5, 0.5, np.random.default_rng(0))
    ratings, generator = np.array([1.0, 2.0, 3.0]), np.random.default_rng(1)
    draw = partial(preferences.synthesize_pairs, ratings, 1, 0.5, generator)
    drawn = [tuple(draw()[0]) for _ in range(3000)]
    counts = {pair: drawn.count(pair) for pair in set(drawn)}
    assert len(counts) == 6
    assert all(abs(count - 500) < 100 for count in counts.values())  # 5 standard deviations


SPLIT = {"metadata": {}, "train": ["p1", "p2"], "valid": ["p3"], "test": ["p4"]}


def test_pairs_get_their_split_and_unlisted_ones_are_dropped(tmp_path):
    pairs = pd.DataFrame({"pair_id": ["p4", "p0", "p1", "p3", "p2"]})
    table = preferences.assign_splits(pairs, write_json(tmp_path / "split.json", SPLIT))
    assert dict(zip(table["pair_id"], table["split"], strict=True)) == {
        "p1": "train", "p2": "train", "p3": "valid", "p4": "test",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": ["p1"]}, "lists 1 pair ids twice"),
        ({"valid": None}, "must hold the lists"),
        ({"test": ["p8", "p9"]}, "2 listed pairs are missing, such as 'p8'"),
    ],
)
def test_malformed_splits_are_refused(tmp_path, change, message):
    path = write_json(tmp_path / "split.json", {**SPLIT, **change})
    with pytest.raises(InputError, match=message):
        preferences.assign_splits(pd.DataFrame({"pair_id": ["p1", "p2", "p3"]}), path)


@pytest.mark.released
def test_released_splits_have_the_sizes_that_the_simulation_keeps_in_proportion(released_dir):
    wanted = {source.name: source.real_sizes for source in VOTE_SOURCES}
    wanted["SongEval"] = SONGEVAL_SIZES
    for name, sizes in wanted.items():
        (path,) = (released_dir / "tunejury" / "splits").glob(f"{name}-*.json")
        ids = [pair_id for split in preferences.SPLITS for pair_id in read_json(path)[split]]
        split = preferences.assign_splits(pd.DataFrame({"pair_id": ids}), path)["split"]
        assert tuple(int((split == name).sum()) for name in preferences.SPLITS) == sizes
