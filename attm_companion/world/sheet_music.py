"""Real scores as plain notes: which files of the music21 corpus, and how each one is read.

music21's own MIDI export stops at malformed repeats, so the notes are taken from the parts.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from attm_companion.arrays import Array
from attm_companion.assets import package_folder
from attm_core.errors import RenderError
from attm_core.randomness import numpy_generator

TONICS = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
MAX_FILE_BYTES = 200_000
MAX_PARTS = 6
MIN_NOTES = 12

# Krumhansl and Kessler (1982), probe-tone profiles of major and minor keys from the tonic up.
MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


@dataclass(frozen=True)
class Kind:
    """A family of works: where its files are, its share of the corpus, what to call a work."""

    name: str
    patterns: tuple[str, ...]
    share: float
    work_type: str


KINDS = (
    Kind("chorale", ("bach/*.mxl",), 0.34, "chorale"),
    Kind("fiddle tune", ("ryansMammoth/*.abc",), 0.30, "folk tune"),
    Kind("mass", ("palestrina/*.krn",), 0.15, "mass movement"),
    Kind("madrigal", ("monteverdi/*.mxl",), 0.09, "madrigal"),
    Kind("trecento", ("trecento/*.*ml", "trecento/*.mxl"), 0.04, "medieval song"),
    Kind("quartet", ("haydn/*/*.mxl", "mozart/*/*.mxl", "beethoven/opus18no1/*.mxl"), 0.05,
         "classical chamber piece"),
    Kind("romantic", ("schumann_*/*.mxl", "chopin/*.krn", "verdi/*.mxl", "johnson_j_r/*.mxl",
                      "liliuokalani/*.mxl"), 0.02, "romantic piece"),
    Kind("ragtime", ("joplin/*.mxl", "leadSheet/berlin*.mxl"), 0.01, "ragtime"),
)  # fmt: skip
# Words that name the dance or the part of the mass when a file's name holds them.
WORK_WORDS = (
    "reel", "jig", "hornpipe", "strathspey", "clog", "waltz", "fling", "schottische", "polonaise",
    "mazurka", "kyrie", "gloria", "credo", "sanctus", "benedictus", "agnus",
)  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """A score as plain data."""

    piece_id: str  # path inside the music21 corpus without its suffix
    kind: str  # name of its `Kind`
    work_type: str  # what a caption calls it, e.g. "reel"
    tonic: int  # pitch class of the key, 0 = C
    mode: str  # "major" or "minor"
    beat_quarters: float  # length of the felt beat in quarter notes
    # From the highest to the lowest, each (n, 3): start and duration in quarter notes, MIDI pitch;
    # sorted by start.
    parts: tuple[Array, ...]

    def to_plain(self) -> dict[str, Any]:
        """Values that JSON can hold."""
        return {**self.__dict__, "parts": [part.round(5).tolist() for part in self.parts]}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Piece:
        """Inverse of `to_plain`."""
        parts = tuple(np.asarray(part, dtype=np.float64) for part in values["parts"])
        return cls(**{**values, "parts": parts})


def corpus_folder() -> Path:
    """Folder of the score files inside the installed music21 package."""
    return package_folder("music21") / "corpus"


def choose_files(n_pieces: int, seed: int) -> list[tuple[str, str]]:
    """Pick scores of every kind by its share; kinds with few files give all they have.

    Returns:
        (kind, path inside the corpus folder) of at most ``n_pieces`` files; what a small kind
        cannot give comes from the first kind.
    """
    root = corpus_folder()
    chosen: list[tuple[str, str]] = []
    for kind in reversed(KINDS):  # the largest kind last: it fills what the others lack
        files = _files_of(root, kind)
        order = numpy_generator(seed, "files", kind.name).permutation(len(files))
        wanted = max(1, round(n_pieces * kind.share))
        if kind is KINDS[0]:
            wanted = n_pieces - len(chosen)
        chosen += [(kind.name, files[i]) for i in sorted(order[:wanted])]
    return chosen


def _files_of(root: Path, kind: Kind) -> list[str]:
    paths = {path for pattern in kind.patterns for path in root.glob(pattern)}
    return sorted(
        path.relative_to(root).as_posix() for path in paths if path.stat().st_size <= MAX_FILE_BYTES
    )


def read_piece(kind_name: str, relative: str) -> Piece:
    """Read a score by its `Kind` and its path in the corpus; ``RenderError`` if it cannot be."""
    from music21 import converter

    with warnings.catch_warnings():  # over-full measures and the like: the notes are still there
        warnings.simplefilter("ignore")
        try:
            score = converter.parse(corpus_folder() / relative, forceSource=True, storePickle=False)
            parts = [notes for part in score.parts if len(notes := _part_notes(part))]
        except Exception as error:  # music21 raises whatever its parsers stumble on
            raise RenderError(f"score {relative} cannot be read: {error!r}") from error
    if sum(map(len, parts)) < MIN_NOTES:
        raise RenderError(f"score {relative} holds fewer than {MIN_NOTES} notes")
    parts.sort(key=lambda notes: -float(np.average(notes[:, 2], weights=notes[:, 1])))
    if len(parts) > MAX_PARTS:  # the highest and the lowest always stay
        kept = np.unique(np.linspace(0, len(parts) - 1, MAX_PARTS).round().astype(int))
        parts = [parts[i] for i in kept]
    return make_piece(kind_name, relative, parts)


def make_piece(kind_name: str, relative: str, parts: Iterable[Array]) -> Piece:
    """Name, key and beat of a list of parts."""
    parts = tuple(parts)
    notes = np.concatenate(parts)
    tonic, mode = estimate_key(notes)
    return Piece(
        piece_id=relative.rsplit(".", 1)[0],
        kind=kind_name,
        work_type=_work_type(kind_name, relative),
        tonic=tonic,
        mode=mode,
        beat_quarters=_beat_quarters(notes),
        parts=parts,
    )


def estimate_key(notes: Array) -> tuple[int, str]:
    """Key by correlation of the duration-weighted pitch classes with the Krumhansl profiles."""
    pitch_class = notes[:, 2].astype(int) % 12
    histogram = np.bincount(pitch_class, weights=notes[:, 1], minlength=12)
    scores = {
        (tonic, mode): float(np.corrcoef(np.roll(profile, tonic), histogram)[0, 1])
        for mode, profile in (("major", MAJOR_PROFILE), ("minor", MINOR_PROFILE))
        for tonic in range(12)
    }
    return max(scores, key=lambda key: scores[key])


def _part_notes(part: Any) -> Array:
    """Sounding notes (n, 3) of a music21 part: ties joined, grace notes and chord symbols left."""
    transposition = part.getInstrument(returnDefault=True).transposition
    shift = transposition.semitones if transposition is not None else 0
    held: dict[int, int] = {}  # pitch → row that a tie may continue
    rows: list[list[float]] = []
    for element in part.flatten().notes:
        length = float(Fraction(element.duration.quarterLength))
        if length <= 0 or "Harmony" in element.classes:
            continue
        for note in getattr(element, "notes", (element,)):
            if not hasattr(note, "pitch"):  # unpitched percussion
                continue
            _add_note(rows, held, (float(element.offset), length, note.pitch.midi + shift), note)
    return np.asarray(sorted(rows), dtype=np.float64).reshape(-1, 3)


def _add_note(
    rows: list[list[float]], held: dict[int, int], row: tuple[float, float, int], note: Any
) -> None:
    start, length, pitch = row
    tie = note.tie.type if note.tie is not None else None
    if tie in ("continue", "stop") and pitch in held:
        rows[held[pitch]][1] = start + length - rows[held[pitch]][0]
    else:
        rows.append([start, length, float(pitch)])
        held[pitch] = len(rows) - 1
    if tie not in ("start", "continue"):
        held.pop(pitch, None)


def _beat_quarters(notes: Array) -> float:
    """A beat that makes scores in long and in short note values move at comparable speed."""
    median = float(np.median(notes[:, 1]))
    return 0.5 if median <= 0.25 else min(2.0, max(1.0, 2.0 ** math.floor(math.log2(median))))


def _work_type(kind_name: str, relative: str) -> str:
    name = relative.lower()
    word = next((word for word in WORK_WORDS if re.search(word, name)), None)
    if word is None:
        return next(kind.work_type for kind in KINDS if kind.name == kind_name)
    return f"{word} from a mass" if kind_name == "mass" else word
