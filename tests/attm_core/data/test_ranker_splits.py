"""Split files: reading, joining, and the released ones."""

import pandas as pd
import pytest

from attm_core.data.preference_splits import assign_splits, read_split
from attm_core.errors import InputError
from attm_core.files import write_json

SPLIT = {"metadata": {}, "train": ["p1", "p2"], "valid": ["p3"], "test": ["p4"]}


def test_pairs_get_their_split_and_unlisted_ones_are_dropped(tmp_path):
    splits = read_split(write_json(tmp_path / "split.json", SPLIT))
    table = assign_splits(pd.DataFrame({"pair_id": ["p4", "p0", "p1", "p3", "p2"]}), splits)
    assert dict(zip(table["pair_id"], table["split"], strict=True)) == {
        "p1": "train", "p2": "train", "p3": "valid", "p4": "test",
    }  # fmt: skip


def test_a_listed_pair_that_is_missing_is_named():
    with pytest.raises(InputError, match="2 listed pairs are missing, such as 'p3'"):
        assign_splits(pd.DataFrame({"pair_id": ["p1", "p2"]}), {"train": ["p1", "p3", "p4"]})


@pytest.mark.parametrize(
    ("change", "message"),
    [({"test": ["p1"]}, "lists 1 pair ids twice"), ({"valid": None}, "must hold the lists")],
)
def test_malformed_splits_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        read_split(write_json(tmp_path / "split.json", {**SPLIT, **change}))


@pytest.mark.released
def test_released_splits_have_the_sizes_that_the_simulation_keeps_in_proportion(released_dir):
    from attm_companion.world.listeners import SONGEVAL_SIZES, VOTE_SOURCES

    wanted = {source.name: source.real_sizes for source in VOTE_SOURCES}
    wanted["SongEval"] = SONGEVAL_SIZES
    for name, sizes in wanted.items():
        (path,) = (released_dir / "tunejury" / "splits").glob(f"{name}-*.json")
        assert tuple(len(ids) for ids in read_split(path).values()) == sizes
