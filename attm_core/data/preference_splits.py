"""The released train / valid / test lists of pair ids."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from attm_core.errors import InputError
from attm_core.files import read_json

SPLITS = ("train", "valid", "test")


def read_split(path: Path) -> dict[str, list[str]]:
    """Pair ids of the three splits of one data set.

    Args:
        path: JSON with the lists ``train``, ``valid`` and ``test`` beside ``metadata``.

    Raises:
        InputError: missing or malformed file, or an id that occurs twice.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not all(
        isinstance(content.get(split), list) for split in SPLITS
    ):
        raise InputError(f"{path} must hold the lists train, valid and test")
    ids = [pair_id for split in SPLITS for pair_id in content[split]]
    if len(set(ids)) < len(ids):
        raise InputError(f"{path} lists {len(ids) - len(set(ids))} pair ids twice")
    return {split: [str(pair_id) for pair_id in content[split]] for split in SPLITS}


def assign_splits(pairs: pd.DataFrame, splits: dict[str, list[str]]) -> pd.DataFrame:
    """The pairs that a split lists, with a column ``split``; pairs that none lists are dropped.

    Raises:
        InputError: a listed pair is not among ``pairs``.
    """
    split_of = {pair_id: split for split, ids in splits.items() for pair_id in ids}
    if missing := set(split_of) - set(pairs["pair_id"]):
        raise InputError(f"{len(missing)} listed pairs are missing, such as {min(missing)!r}")
    assigned = pairs.assign(split=pairs["pair_id"].map(split_of))
    return assigned[assigned["split"].notna()].reset_index(drop=True)
