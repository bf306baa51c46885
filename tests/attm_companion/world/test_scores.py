import warnings
from collections import Counter

import numpy as np
import pytest

from attm_companion.world import sheet_music as scores
from attm_companion.world.sheet_music import KINDS, choose_files, estimate_key, read_piece
from attm_core.errors import RenderError


def test_choice_is_of_all_kinds_without_repeats_and_fixed_by_the_seed():
    chosen = choose_files(460, seed=1)
    assert len(chosen) == len(set(chosen)) == 460
    assert set(Counter(kind for kind, _ in chosen)) == {kind.name for kind in KINDS}
    assert chosen == choose_files(460, seed=1)
    assert chosen != choose_files(460, seed=2)


def test_a_chorale_by_hand():
    piece = read_piece("chorale", "bach/bwv66.6.mxl")
    assert (piece.tonic, piece.mode) == (6, "minor")  # F sharp minor
    assert len(piece.parts) == 4
    # soprano, first bar: an upbeat of two quavers, then crotchets
    np.testing.assert_array_equal(
        piece.parts[0][:5], [[0, 0.5, 73], [0.5, 0.5, 71], [1, 1, 69], [2, 1, 71], [3, 1, 73]]
    )
    means = [part[:, 2].mean() for part in piece.parts]
    assert means == sorted(means, reverse=True)
    tune = read_piece("fiddle tune", "ryansMammoth/SalemHornpipe.abc")
    assert (tune.work_type, tune.piece_id) == ("hornpipe", "ryansMammoth/SalemHornpipe")
    assert (tune.tonic, tune.mode, len(tune.parts)) == (7, "major", 1)  # its heading says K:G


def test_ties_are_joined_and_grace_notes_left_out():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from music21 import chord, note, stream, tie

    part = stream.Part()
    for kind in ("start", "continue", "stop"):
        tied = note.Note("C4", quarterLength=2)
        tied.tie = tie.Tie(kind)
        part.append(tied)
    part.append(note.Note("D4").getGrace())
    part.append(chord.Chord(["E4", "G4"], quarterLength=1))
    np.testing.assert_array_equal(scores._part_notes(part), [[0, 6, 60], [6, 1, 64], [6, 1, 67]])


@pytest.mark.parametrize(("tonic", "mode"), [(0, "major"), (7, "major"), (2, "minor")])
def test_key_of_a_scale_that_rests_on_its_triad(tonic, mode):
    steps = (0, 2, 4, 5, 7, 9, 11) if mode == "major" else (0, 2, 3, 5, 7, 8, 10)
    weights = (4, 1, 2, 1, 3, 1, 1)
    notes = np.array([[0.0, w, 60 + tonic + s] for s, w in zip(steps, weights, strict=True)])
    assert estimate_key(notes) == (tonic, mode)


def test_an_unreadable_score_says_which(tmp_path, monkeypatch):
    (tmp_path / "broken.mxl").write_bytes(b"PK\x03\x04 not a score")
    monkeypatch.setattr(scores, "corpus_folder", lambda: tmp_path)
    with pytest.raises(RenderError, match=r"score broken.mxl cannot be read"):
        read_piece("chorale", "broken.mxl")


def test_reading_leaves_no_pickle_behind(monkeypatch):
    from music21 import freezeThaw

    def refuse(*_, **__):
        raise AssertionError("a score was pickled")

    monkeypatch.setattr(freezeThaw.StreamFreezer, "write", refuse)
    assert read_piece("chorale", "bach/bwv269.mxl").kind == "chorale"
