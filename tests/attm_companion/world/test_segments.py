import numpy as np
import pytest

from attm_companion.world.config import SPLITS
from attm_companion.world.segments import assign_splits, choose_window, cut
from attm_companion.world.sheet_music import make_piece
from attm_core.errors import ConfigError
from attm_core.randomness import numpy_generator


def _pieces(n: int) -> list[tuple[str, str]]:
    return [(f"piece{i}", "chorale" if i % 3 else "mass") for i in range(n)]


def test_cut_by_hand() -> None:
    notes = np.array([[0.0, 2.0, 60], [2.0, 4.0, 62], [6.0, 1.0, 64], [9.0, 1.0, 65]])
    np.testing.assert_allclose(cut(notes, 1.0, 6.0), [[0, 1, 60], [1, 4, 62], [5, 1, 64]])
    np.testing.assert_allclose(cut(notes, 3.0, 1.0), [[0, 1, 62]])


@pytest.mark.parametrize("n", [20, 37, 460])
def test_every_piece_has_one_split_and_every_split_a_piece(n: int) -> None:
    splits = assign_splits(_pieces(n), seed=1)
    assert sorted(splits) == sorted(name for name, _ in _pieces(n))
    assert set(splits.values()) == set(SPLITS)


def test_the_kinds_are_spread_over_the_splits() -> None:
    pieces = _pieces(460)
    splits = assign_splits(pieces, seed=2)
    for kind in ("chorale", "mass"):
        names = [name for name, k in pieces if k == kind]
        share = sum(splits[name] == "train" for name in names) / len(names)
        assert share == pytest.approx(13 / 20, abs=0.06)


def test_too_few_pieces() -> None:
    with pytest.raises(ConfigError, match="19 pieces cannot fill five splits"):
        assign_splits(_pieces(19), 1)


def test_windows_start_on_a_beat_where_there_is_music() -> None:
    busy = np.array([[float(i), 1.0, 60 + i % 5] for i in range(32)])
    busy[:, 0] += 40.0  # forty beats of rest come first
    piece = make_piece("chorale", "bach/late.mxl", (busy,))
    starts = {choose_window(piece, 8.0, numpy_generator(i)) for i in range(50)}
    assert len(starts) > 5
    assert all(start >= 38 and start == int(start) and start + 8 <= 72 for start in starts)


def test_a_short_piece_gives_what_it_has() -> None:
    notes = np.array([[float(i), 0.5, 60.0] for i in range(3)])
    piece = make_piece("chorale", "bach/short.mxl", (notes,))
    assert choose_window(piece, 50.0, numpy_generator(0)) == 0.0
