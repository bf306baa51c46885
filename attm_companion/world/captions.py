"""Captions from what is known of an arrangement; they never say how well a clip is produced."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attm_companion.world.arrangement import Arrangement
from attm_companion.world.sheet_music import TONICS, Piece

MOODS = {
    ("major", "slow"): ("serene", "tender", "peaceful", "dreamy"),
    ("major", "moderate"): ("warm", "graceful", "hopeful", "cheerful"),
    ("major", "fast"): ("joyful", "bright", "playful", "festive"),
    ("minor", "slow"): ("mournful", "solemn", "melancholic", "lonely"),
    ("minor", "moderate"): ("wistful", "pensive", "mysterious", "brooding"),
    ("minor", "fast"): ("restless", "urgent", "tense", "dramatic"),
}
TEMPO_WORDS = {
    "slow": ("slow", "unhurried", "at a slow tempo"),
    "moderate": ("moderate", "mid-tempo", "at a moderate tempo"),
    "fast": ("fast", "lively", "at a fast tempo"),
}
DYNAMICS_WORDS = {"soft": "softly", "medium": "", "loud": "powerfully"}

# {tempo} and {mood} are adjectives, {pace} an adverbial, {voices} starts with a comma or a blank.
TEMPLATES = (
    "A {tempo}, {mood} {work} in {key} for {instruments}{voices}.",
    "{Instruments} in a {mood} {work} {pace}{voices}.",
    "{Mood} {tempo} music in {key}: a {work} arranged for {instruments}{voices}.",
    "This is a {tempo} {work}, {mood} and {mood2}, with {instruments}{voices}.",
    "{Instruments} play {manner} in {key}, {mood} and {tempo}{voices}.",
    "A {mood} piece {pace}, {work} style, performed by {instruments}{voices}.",
    "{Mood}, {mood2} {work} {pace}; the instruments are {instruments}{voices}.",
    "{Tempo} {mode} key {work} on {instruments}{voices}, {mood} in mood.",
)
VOICE_JOINTS = (" with", " together with", ", joined by")
INSTRUMENTAL_ENDINGS = ("", "", ", instrumental", ", without voices")


@dataclass(frozen=True)
class Caption:
    """A caption, one sentence, and the words it is built from."""

    text: str
    tags: tuple[str, str, str]  # tempo, mood and ensemble, for prompts that are lists of words
    mood: str  # the first mood word
    key: str  # e.g. "D minor"


def write_caption(
    piece: Piece, arrangement: Arrangement, generator: np.random.Generator
) -> Caption:
    """Describe a clip by its work, instruments, tempo, key, mood and voices."""
    known = MOODS[arrangement.mode, arrangement.tempo]
    moods = [str(word) for word in generator.permutation(known)]
    *adjectives, pace = TEMPO_WORDS[arrangement.tempo]
    tempo = adjectives[generator.integers(len(adjectives))]
    key = f"{TONICS[arrangement.tonic]} {arrangement.mode}"
    words = {
        "tempo": tempo,
        "pace": pace,
        "mood": moods[0],
        "mood2": moods[1],
        "work": piece.work_type,
        "key": key,
        "mode": arrangement.mode,
        "instruments": join_words(arrangement.words),
        "voices": _voices(arrangement, generator),
        "manner": DYNAMICS_WORDS[arrangement.dynamics],
    }
    template = TEMPLATES[generator.integers(len(TEMPLATES))]
    return Caption(
        text=fill_template(template, words),
        tags=(arrangement.tempo, moods[0], arrangement.ensemble.name),
        mood=moods[0],
        key=key,
    )


def fill_template(template: str, words: dict[str, str]) -> str:
    """Fill a template; ``{Word}`` is ``{word}`` with a capital; articles are put right."""
    capitals = {name.capitalize(): text[:1].upper() + text[1:] for name, text in words.items()}
    text = " ".join(template.format(**words, **capitals).split())
    for wrong, right in ((" a ", " an "), ("A ", "An ")):
        for vowel in "aeiou":
            text = text.replace(f"{wrong}{vowel}", f"{right}{vowel}")
    return text


def join_words(words: Sequence[str]) -> str:
    """``["violin", "viola", "cello"]`` → ``"violin, viola and cello"``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _voices(arrangement: Arrangement, generator: np.random.Generator) -> str:
    if arrangement.singer is None:
        return INSTRUMENTAL_ENDINGS[generator.integers(len(INSTRUMENTAL_ENDINGS))]
    joint = VOICE_JOINTS[generator.integers(len(VOICE_JOINTS))]
    return f"{joint} {arrangement.singer.word}"
