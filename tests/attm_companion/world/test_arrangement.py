import numpy as np
import pytest

from attm_companion.world.accompaniment import PATTERNS, accompany, best_triad, drum_pattern
from attm_companion.world.arrangement import TEMPO_RANGES_BPM, Player, arrange, fit_range
from attm_companion.world.config import SPLITS
from attm_companion.world.segments import assign_splits, choose_window, cut
from attm_companion.world.sheet_music import Piece, make_piece
from attm_core.errors import ConfigError, InputError
from attm_core.randomness import numpy_generator

DURATION_S = 4.096


def _notes(*rows: tuple[float, float, float]) -> np.ndarray:
    return np.array(rows, dtype=float)


def test_fit_range_by_hand() -> None:
    player = Player(0, "x", 60, 79)
    moved = fit_range(_notes((0, 1, 40), (1, 1, 45)), player)[:, 2]
    np.testing.assert_array_equal(moved, [64, 69])
    inside = fit_range(_notes((0, 1, 66), (1, 1, 70), (2, 1, 80)), player)[:, 2]
    np.testing.assert_array_equal(inside, [66, 70, 68])


@pytest.mark.parametrize("seed", range(40))
def test_every_note_is_in_range_in_time_and_in_the_key(scale: Piece, seed: int) -> None:
    arrangement = arrange(scale, DURATION_S, seed % 2 == 0, numpy_generator(seed))
    low, high = TEMPO_RANGES_BPM[arrangement.tempo]
    assert low <= arrangement.tempo_bpm <= high
    degrees = {(step + arrangement.tonic) % 12 for step in (0, 2, 4, 5, 7, 9, 11)}
    pitched = [line for line in arrangement.instruments + arrangement.sung if line.program >= 0]
    assert pitched
    assert len(arrangement.sung) == (seed % 2 == 0)
    assert sum(len(line.notes) for line in arrangement.instruments) > 0
    for line in pitched:
        assert set(line.notes[:, 2].astype(int) % 12) <= degrees
        assert (line.notes[:, 0] >= 0).all() and (line.notes[:, 0] < DURATION_S + 0.05).all()
        assert ((line.notes[:, 2] >= 21) & (line.notes[:, 2] <= 108)).all()


def test_a_single_line_gets_chords_and_a_bass() -> None:
    tune = _notes(*((float(i), 1.0, 72 + (0, 4, 7, 12)[i % 4]) for i in range(32)))
    piece = make_piece("fiddle tune", "ryansMammoth/testReel.abc", (tune,))
    arrangement = arrange(piece, DURATION_S, False, numpy_generator(1))
    assert sum(line.program >= 0 for line in arrangement.instruments) == 3
    assert piece.work_type == "reel"


def test_best_triad_by_hand() -> None:
    melody = _notes((0, 1, 67), (1, 1, 71), (2, 2, 65), (4, 1, 72))
    assert best_triad(melody, 0, "major", (0, 2)) == (7, 11, 14)  # G and B: the dominant
    assert best_triad(melody, 0, "major", (2, 4)) == (5, 9, 12)  # F: the subdominant
    assert best_triad(melody, 0, "major", (4, 5)) == (0, 4, 7)  # C: home before its relatives


@pytest.mark.parametrize("seed", range(len(PATTERNS) * 3))
def test_accompaniment_fills_the_clip_with_notes_of_the_triads(seed: int) -> None:
    melody = _notes((0, 4, 60))
    chords, bass = accompany(melody, 0, "major", 4.0, (0.5, numpy_generator(seed)))
    assert set(chords[:, 2] % 12) <= {0, 4, 7}
    np.testing.assert_array_equal(bass[:, 0], [0, 1, 2, 3])
    assert chords[:, 0].max() < 4.0 and (chords[:, 1] > 0).all()


def test_drums_by_hand() -> None:
    hits = drum_pattern("rock", 1.0, 0.5)  # one bar of two beats
    assert [tuple(hit) for hit in hits[:, [0, 2]]] == [
        (0.0, 36), (0.0, 42), (0.25, 42), (0.5, 38), (0.5, 42), (0.75, 42),
    ]  # fmt: skip
    with pytest.raises(InputError, match="unknown drum pattern 'polka'"):
        drum_pattern("polka", 1.0, 0.5)


def _pieces(n: int) -> list[tuple[str, str]]:
    return [(f"piece{i}", "chorale" if i % 3 else "mass") for i in range(n)]


def test_cut_by_hand() -> None:
    notes = np.array([[0.0, 2.0, 60], [2.0, 4.0, 62], [6.0, 1.0, 64], [9.0, 1.0, 65]])
    np.testing.assert_allclose(cut(notes, 1.0, 6.0), [[0, 1, 60], [1, 4, 62], [5, 1, 64]])
    np.testing.assert_allclose(cut(notes, 3.0, 1.0), [[0, 1, 62]])


def test_every_piece_has_one_split_and_every_split_pieces_of_each_kind() -> None:
    with pytest.raises(ConfigError, match="19 pieces cannot fill five splits"):
        assign_splits(_pieces(19), 1)
    for pieces in map(_pieces, (20, 37, 460)):
        splits = assign_splits(pieces, seed=1)
        assert sorted(splits) == sorted(name for name, _ in pieces)
        assert set(splits.values()) == set(SPLITS)
    for kind in ("chorale", "mass"):
        names = [name for name, k in pieces if k == kind]
        share = sum(splits[name] == "train" for name in names) / len(names)
        assert share == pytest.approx(13 / 20, abs=0.06)


def test_windows_start_on_a_beat_where_there_is_music() -> None:
    busy = np.array([[float(i), 1.0, 60 + i % 5] for i in range(32)])
    busy[:, 0] += 40.0  # forty beats of rest come first
    piece = make_piece("chorale", "bach/late.mxl", (busy,))
    starts = {choose_window(piece, 8.0, numpy_generator(i)) for i in range(50)}
    assert len(starts) > 5
    assert all(start >= 38 and start == int(start) and start + 8 <= 72 for start in starts)
    short = make_piece("chorale", "bach/short.mxl", (busy[:3] - [40, 0, 0],))
    assert choose_window(short, 50.0, numpy_generator(0)) == 0.0, "it gives what it has"
