import re

import pytest

from attm_companion.world.arrangement import arrange
from attm_companion.world.captions import (
    MOODS,
    TEMPLATES,
    TEMPO_WORDS,
    fill_template,
    join_words,
    write_caption,
)
from attm_companion.world.sheet_music import Piece
from attm_core.randomness import numpy_generator

WORDS = {
    "tempo": "slow",
    "pace": "at a slow tempo",
    "mood": "urgent",
    "mood2": "tense",
    "work": "reel",
    "key": "A minor",
    "mode": "minor",
    "instruments": "violin and cello",
    "voices": " with a choir",
    "manner": "softly",
}
FAULT_TALK = re.compile(
    "hiss|noise|noisy|clip|distort(?!ed guitar)|dull|muffl|hum|wow|telephone|drop|mud|quality|clean"
)


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        ([], ""),
        (["piano"], "piano"),
        (["flute", "harp"], "flute and harp"),
        (["violin", "viola", "cello"], "violin, viola and cello"),
    ],
)
def test_join_words_by_hand(words: list[str], joined: str) -> None:
    assert join_words(words) == joined


def test_a_template_by_hand() -> None:
    text = fill_template("A {mood} {work} in {key} for {instruments}{voices}.", WORDS)
    assert text == "An urgent reel in A minor for violin and cello with a choir."
    text = fill_template("{Instruments} play {manner} a {mood} piece{voices}.", WORDS)
    assert text == "Violin and cello play softly an urgent piece with a choir."


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_names_instruments_mood_and_voices(template: str) -> None:
    text = fill_template(template, WORDS).lower()
    assert "violin and cello" in text and "urgent" in text and "with a choir" in text
    assert text.endswith(".") and "{" not in text and "  " not in text


def _caption(piece: Piece, seed: int, has_voice: bool = True) -> tuple[str, object, object]:
    arrangement = arrange(piece, 4.096, has_voice, numpy_generator(seed, "arrange"))
    caption = write_caption(piece, arrangement, numpy_generator(seed, "caption"))
    return caption.text, caption, arrangement


def test_captions_say_what_was_arranged_and_not_how_it_was_produced(scale: Piece) -> None:
    for seed in range(60):
        text, caption, arrangement = _caption(scale, seed)
        assert all(word in text.lower() for word in arrangement.words)  # type: ignore[attr-defined]
        assert arrangement.singer.word in text  # type: ignore[attr-defined]
        assert caption.mood in text.lower()  # type: ignore[attr-defined]
        assert not FAULT_TALK.search(text.lower()), text


def test_an_instrumental_caption_names_no_singer(scale: Piece) -> None:
    for seed in range(30):
        text, _, arrangement = _caption(scale, seed, has_voice=False)
        assert arrangement.singer is None  # type: ignore[attr-defined]
        assert not re.search("choir|singing|synthetic voice", text)


def test_tables_are_complete() -> None:
    assert {(mode, tempo) for mode in ("major", "minor") for tempo in TEMPO_WORDS} == set(MOODS)
    words = [word for moods in MOODS.values() for word in moods]
    assert len(words) == len(set(words)), "a mood word stands for one mode and tempo"
