"""Scores arranged for General MIDI ensembles, with or without a sung part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attm_companion.arrays import Array
from attm_companion.world.accompaniment import accompany, drum_pattern
from attm_companion.world.segments import choose_window, cut
from attm_companion.world.sheet_music import Piece

Notes = Array


@dataclass(frozen=True)
class Player:
    """An instrument: General MIDI program, the caption's word, its range in MIDI pitches."""

    program: int
    word: str
    low: int
    high: int


@dataclass(frozen=True)
class Ensemble:
    """Players from the highest role to the lowest, and a drum pattern if there are drums."""

    name: str
    players: tuple[Player, ...]
    drums: str | None = None


_PIANO = Player(0, "piano", 28, 100)
_VIOLIN = Player(40, "violin", 55, 96)
_VIOLA = Player(41, "viola", 48, 84)
_CELLO = Player(42, "cello", 36, 74)
_BASS = Player(32, "double bass", 28, 55)
_GUITAR = Player(24, "nylon guitar", 40, 84)
_FLUTE = Player(73, "flute", 60, 96)

# MINI-WORLD: General MIDI program 21 (accordion) is left out: above key 72 the SoundFont's is up to
# 65 cents flat.
ENSEMBLES = (
    Ensemble("solo piano", (_PIANO,)),
    Ensemble("harpsichord", (Player(6, "harpsichord", 36, 89),)),
    Ensemble("church organ", (Player(19, "pipe organ", 36, 96),)),
    Ensemble("string quartet", (_VIOLIN, _VIOLIN, _VIOLA, _CELLO)),
    Ensemble("string orchestra", (Player(48, "string orchestra", 28, 96),)),
    Ensemble("brass ensemble", (
        Player(56, "trumpet", 54, 84), Player(60, "french horn", 41, 77),
        Player(57, "trombone", 40, 72), Player(58, "tuba", 28, 58))),
    Ensemble("woodwind quartet", (
        _FLUTE, Player(68, "oboe", 58, 91), Player(71, "clarinet", 50, 91),
        Player(70, "bassoon", 34, 72))),
    Ensemble("saxophone quartet", (
        Player(64, "soprano saxophone", 56, 87), Player(65, "alto saxophone", 49, 80),
        Player(66, "tenor saxophone", 44, 75), Player(67, "baritone saxophone", 36, 68))),
    Ensemble("acoustic guitars", (Player(25, "steel guitar", 40, 86), _GUITAR)),
    Ensemble("jazz trio", (Player(11, "vibraphone", 53, 89), _PIANO, _BASS), "swing"),
    Ensemble("rock band", (
        Player(30, "distorted guitar", 40, 86), Player(27, "electric guitar", 40, 84),
        Player(33, "bass guitar", 28, 55)), "rock"),
    Ensemble("synthesizers", (
        Player(81, "synth lead", 48, 93), Player(89, "synth pad", 48, 84),
        Player(38, "synth bass", 28, 55)), "dance"),
    Ensemble("folk band", (
        Player(110, "fiddle", 55, 93), Player(105, "banjo", 48, 84), _GUITAR, _BASS)),
    Ensemble("flute and harp", (_FLUTE, Player(46, "harp", 28, 96))),
    Ensemble("mallets", (Player(9, "glockenspiel", 72, 103), Player(12, "marimba", 45, 89))),
    Ensemble("music box", (Player(10, "music box", 60, 100),)),
    Ensemble("electric piano trio", (
        Player(4, "electric piano", 36, 93), Player(35, "fretless bass", 28, 55)), "rock"),
    Ensemble("harmonica and guitar", (
        Player(22, "harmonica", 55, 91), Player(25, "steel guitar", 40, 84))),
    Ensemble("koto and shakuhachi", (
        Player(77, "shakuhachi", 55, 88), Player(107, "koto", 43, 84))),
    Ensemble("pan flute and sitar", (
        Player(75, "pan flute", 60, 96), Player(104, "sitar", 43, 79))),
)  # fmt: skip

SINGERS = (
    Player(52, "a choir", 48, 79),
    Player(53, "voices singing ooh", 50, 79),
    Player(54, "a synthetic voice", 48, 81),
)

TEMPO_RANGES_BPM = {"slow": (52.0, 74.0), "moderate": (84.0, 108.0), "fast": (126.0, 160.0)}
DYNAMICS = ("soft", "medium", "loud")
TUNE_DB, OTHERS_DB = 0.0, -3.0
DRUMS_DB = {"rock": 4.0, "dance": 4.0, "swing": -4.0}  # hits are short: peaks about as the rest's
MAX_TRANSPOSITION = 3
DOUBLED_SHARE = 0.5  # of the sung clips, how many have an instrument doubling the voice


@dataclass(frozen=True)
class Line:
    """What one player plays; program −1 is drums.

    Notes are rows of start s, duration s, pitch and, where a player varies it, velocity (0 to 1).
    """

    program: int
    level_db: float
    notes: Notes


@dataclass(frozen=True)
class Arrangement:
    """A clip before it sounds: the lines of the instruments, of the singers, and their names."""

    ensemble: Ensemble
    singer: Player | None
    instruments: tuple[Line, ...]
    sung: tuple[Line, ...]
    words: tuple[str, ...]
    tempo: str
    tempo_bpm: float
    dynamics: str
    tonic: int
    mode: str


def arrange(
    piece: Piece, duration_s: float, has_voice: bool, generator: np.random.Generator
) -> Arrangement:
    """Arrange some seconds of a piece for a random ensemble, tempo, key and dynamics.

    With ``has_voice`` its top part is sung.
    """
    ensemble = ENSEMBLES[generator.integers(len(ENSEMBLES))]
    tempo = str(generator.choice(list(TEMPO_RANGES_BPM)))
    tempo_bpm = round(float(generator.uniform(*TEMPO_RANGES_BPM[tempo])), 1)
    dynamics = str(generator.choice(DYNAMICS))
    shift = int(generator.integers(-MAX_TRANSPOSITION, MAX_TRANSPOSITION + 1))
    parts, beat_s = _window(piece, duration_s, tempo_bpm, generator), 60.0 / tempo_bpm
    parts = [part + np.array([0, 0, shift]) for part in parts]
    tonic = (piece.tonic + shift) % 12
    if len(parts) == 1:
        parts += accompany(parts[0], tonic, piece.mode, duration_s, (beat_s, generator))
    singer = SINGERS[generator.integers(len(SINGERS))] if has_voice else None
    doubled = singer is None or generator.random() < DOUBLED_SHARE
    lines = _share_out(parts, ensemble, first=0 if doubled else 1)
    word_of = {player.program: player.word for player in ensemble.players}
    words = tuple(dict.fromkeys(word_of[line.program] for line in lines))
    if ensemble.drums is not None:
        hits = drum_pattern(ensemble.drums, duration_s, beat_s)
        lines.append(Line(-1, DRUMS_DB[ensemble.drums], hits))
        words += ("drums",)
    sung = () if singer is None else (Line(singer.program, TUNE_DB, fit_range(parts[0], singer)),)
    played = tuple(_human(line, generator) for line in lines)
    told = (words, tempo, tempo_bpm, dynamics, tonic, piece.mode)
    return Arrangement(ensemble, singer, played, sung, *told)


def _window(
    piece: Piece, duration_s: float, tempo_bpm: float, generator: np.random.Generator
) -> list[Notes]:
    """The parts that sound in the chosen window, in seconds, from high to low."""
    n_beats = duration_s * tempo_bpm / 60.0
    start = choose_window(piece, n_beats, generator)
    second = np.array([60.0 / tempo_bpm / piece.beat_quarters] * 2 + [1.0])
    cuts = [cut(part, start, n_beats * piece.beat_quarters) * second for part in piece.parts]
    return [part for part in cuts if len(part)]


def _share_out(parts: Sequence[Notes], ensemble: Ensemble, first: int) -> list[Line]:
    """Give each part from ``first`` on to a player: high parts to high players."""
    players = ensemble.players
    seat = np.linspace(0, len(players) - 1, len(parts)).round().astype(int)
    lines = []
    for i in range(min(first, len(parts) - 1), len(parts)):
        player = players[seat[i]]
        level_db = TUNE_DB if i == 0 else OTHERS_DB
        lines.append(Line(player.program, level_db, fit_range(parts[i], player)))
    return lines


def fit_range(notes: Notes, player: Player) -> Notes:
    """Move a part by octaves into a player's range; single notes still outside move alone."""
    middle = (player.low + player.high) / 2
    mean = float(notes[:, 2].mean())
    outside = mean < player.low + 5 or mean > player.high - 5
    pitch = notes[:, 2] + (12 * round((middle - mean) / 12) if outside else 0)
    pitch = np.where(pitch < player.low, player.low + (pitch - player.low) % 12, pitch)
    pitch = np.where(pitch > player.high, player.high - (player.high - pitch) % 12, pitch)
    return np.column_stack([notes[:, :2], pitch])


def _human(line: Line, generator: np.random.Generator) -> Line:
    """Starts a few milliseconds off the grid and strengths a little apart, as players are."""
    starts = np.maximum(0.0, line.notes[:, 0] + generator.normal(0.0, 0.006, len(line.notes)))
    velocity = np.clip(generator.normal(0.8, 0.08, len(line.notes)), 0.5, 1.0)
    notes = np.column_stack([starts, line.notes[:, 1:], velocity])
    return Line(line.program, line.level_db, notes)
