import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from attm_core.configuration import WindowConfig
from attm_core.data import jamendo
from attm_core.errors import ConfigError, InputError

RATE = 8_000
SMALL = WindowConfig(n_valid=2, n_test=1)


def write_captions(folder, value):
    path = folder / "jamendo_qwen.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def add_track(root, path, seconds, rate=RATE):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    wave = 0.1 * np.sin(np.arange(round(seconds * rate)) * 0.1)
    soundfile.write(str(root / path), wave, rate)
    return jamendo.Caption(path, f"the music of {path}")


@pytest.fixture
def tracks(tmp_path):
    lengths = [35.0, 25.5, 12.0, 31.0, 7.0, 30.0, 120.5]
    return [
        add_track(tmp_path, f"{n:02d}/{100 + n}.wav", length) for n, length in enumerate(lengths)
    ]


def test_captions_are_read_in_their_order(tmp_path):
    records = [
        {"path": "14/214.mp3", "caption": " Slow piano. ", "tags": ["piano"]},
        {"path": "00/7000.low.mp3", "caption": "Fast drums."},
    ]
    captions = jamendo.read_captions(write_captions(tmp_path, records))
    assert captions[0] == jamendo.Caption("14/214.mp3", "Slow piano.")
    assert captions[1] == jamendo.Caption("00/7000.low.mp3", "Fast drums.")
    assert [caption.track_id for caption in captions] == ["214", "7000"]


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ('[{"path": ', "is not valid JSON"),
        ({"path": "1/1.mp3"}, "must hold a list"),
        ([], "must hold a list"),
        (["1/1.mp3"], "record 0: str instead of an object"),
        ([{"path": "1/1.mp3"}], "must be texts that are not empty"),
        ([{"path": "1/1.mp3", "caption": " "}], "must be texts that are not empty"),
        ([{"path": 7, "caption": "x"}], "must be texts that are not empty"),
        ([{"path": "../1.mp3", "caption": "x"}], "leads out of the audio folder"),
        ([{"path": "/1/1.mp3", "caption": "x"}], "leads out of the audio folder"),
        ([{"path": "..\\1.mp3", "caption": "x"}], "leads out of the audio folder"),
        ([{"path": "1/1.mp3", "caption": "x"}, {"path": "2/1.mp3", "caption": "y"}], "1 twice"),
    ],
)
def test_captions_that_cannot_be_used_are_refused(tmp_path, value, match):
    with pytest.raises(InputError, match=match):
        jamendo.read_captions(write_captions(tmp_path, value))
    with pytest.raises(InputError, match=r"none\.json does not exist"):
        jamendo.read_captions(tmp_path / "none.json")


def test_windows_by_hand():
    # 35 s at 8 kHz: three windows, (280000 - 80000) // 2 = 100000 samples apart.
    assert jamendo._window_starts(280_000, RATE, SMALL) == [0, 100_000, 200_000]
    assert jamendo._window_starts(159_999, RATE, SMALL) == [0]
    assert jamendo._window_starts(160_000, RATE, SMALL) == [0, 80_000]
    # 1005 s at 8 Hz: ten windows and no more, (8040 - 80) // 9 = 884 samples apart.
    assert jamendo._window_starts(8040, 8, SMALL) == [884 * n for n in range(10)]


@given(st.integers(40_000, 60_000_000), st.sampled_from([8_000, 22_050, 44_100, 48_000]))
def test_windows_lie_in_the_track_and_do_not_overlap(n_samples, rate):
    starts, width = jamendo._window_starts(n_samples, rate, SMALL), 10 * rate
    assert starts[0] == 0 and 1 <= len(starts) <= 10
    assert starts[-1] + width <= max(n_samples, width)
    assert all(b - a >= width for a, b in pairwise(starts))


def test_the_table_has_a_row_per_window(tmp_path, tracks):
    table = jamendo.window_table(tracks, tmp_path, SMALL)
    assert tuple(table.columns) == jamendo.COLUMNS
    windows = Counter(table["track_id"])
    expected = {"100": 3, "101": 2, "102": 1, "103": 3, "104": 1, "105": 3, "106": 10}
    assert windows == expected
    assert table["clip_id"].is_unique
    first = table[table["track_id"] == "100"].sort_values("start_s")
    assert first["start_s"].tolist() == [0.0, 12.5, 25.0]
    assert first["clip_id"].tolist() == ["100_00", "100_01", "100_02"]
    assert set(first["duration_s"]) == {10.0}
    assert table.loc[table["track_id"] == "104", "duration_s"].tolist() == [7.0]
    assert table.attrs["skipped"] == []
    splits = table.groupby("track_id")["split"].agg(["nunique", "first"])
    assert set(splits["nunique"]) == {1}  # they share no track
    assert Counter(splits["first"]) == {"valid": 2, "test": 1, "train": 4}


def test_the_first_held_out_rows_are_the_first_windows_of_all_tracks(tmp_path, tracks):
    config = WindowConfig(n_valid=5, n_test=1)
    table = jamendo.window_table(tracks, tmp_path, config)
    valid = table[table["split"] == "valid"]
    assert valid["track_id"][:5].nunique() == 5
    assert set(valid["start_s"][:5]) == {0.0}
    numbers = valid["clip_id"].str.split("_").str[1].astype(int).tolist()
    assert numbers == sorted(numbers) and numbers[5] == 1
    train = table[table["split"] == "train"]
    assert train["track_id"].tolist() == sorted(train["track_id"])


def test_unusable_tracks_are_listed_and_neither_they_nor_the_order_matter(tmp_path, tracks):
    short = add_track(tmp_path, "08/108.wav", 4.9)
    (tmp_path / "09").mkdir()
    (tmp_path / "09/109.mp3").write_bytes(b"this is no music" * 40)
    bad = [short, jamendo.Caption("09/109.mp3", "noise"), jamendo.Caption("10/110.mp3", "nothing")]
    table = jamendo.window_table([*tracks[::-1], *bad], tmp_path, SMALL)
    assert table.equals(jamendo.window_table(tracks, tmp_path, SMALL))
    reseeded = WindowConfig(n_valid=2, n_test=1, seed=1)
    assert not table.equals(jamendo.window_table(tracks, tmp_path, reseeded))
    short_line, unreadable, missing = table.attrs["skipped"]
    assert short_line == "08/108.wav: lasts 4.9 s, less than 5 s"
    assert unreadable.startswith("09/109.mp3: unreadable (")
    assert missing == "10/110.mp3: missing"
    add_track(tmp_path, "11/111.low.flac", 12.0)
    config = WindowConfig(n_valid=2, n_test=1, exclude=("106",))
    table = jamendo.window_table([*tracks, jamendo.Caption("11/111.flac", "x")], tmp_path, config)
    assert "106" not in set(table["track_id"])
    assert table.loc[table["track_id"] == "111", "path"].tolist() == ["11/111.low.flac"]


def test_one_track_more_moves_at_most_two_others():
    ids, config = [str(n) for n in range(1000)], WindowConfig(n_valid=20, n_test=20)
    before = jamendo._assign_tracks(ids, config)
    for extra in ("a", "b", "c", "d"):
        after = jamendo._assign_tracks([*ids, extra], config)
        assert sum(before[name] != after[name] for name in ids) <= 2


def test_no_usable_track_and_too_few_are_refused(tmp_path, tracks):
    with pytest.raises(InputError, match=r"can be used \(the first: missing\)"):
        jamendo.window_table(tracks, tmp_path / "elsewhere", SMALL)
    with pytest.raises(InputError, match="no captions are left"):
        jamendo.window_table([], tmp_path, SMALL)
    with pytest.raises(ConfigError, match="7 tracks cannot lose 400"):
        jamendo.window_table(tracks, tmp_path)
