import re
from itertools import product

import pytest

from attm_companion.world import captions
from attm_companion.world.arrangement import arrange
from attm_core.randomness import numpy_generator

WORDS = {"mood": "urgent", "work": "reel", "key": "A minor", "instruments": "violin and cello"}
WORDS |= {"voices": " with a choir", "manner": "softly"}
FAULT_TALK = re.compile(
    "hiss|noise|noisy|clip|distort(?!ed guitar)|dull|muffl|hum|wow|telephone|drop|mud|quality|clean"
)


def test_words_and_a_template_by_hand() -> None:
    words = ["violin", "viola", "cello"]
    joined = [captions.join_words(words[:n]) for n in range(4)]
    assert joined == ["", "violin", "violin and viola", "violin, viola and cello"]
    text = captions.fill_template("A {mood} {work} in {key} for {instruments}{voices}.", WORDS)
    assert text == "An urgent reel in A minor for violin and cello with a choir."
    text = captions.fill_template("{Instruments} play {manner} a {mood} piece{voices}.", WORDS)
    assert text == "Violin and cello play softly an urgent piece with a choir."


@pytest.mark.parametrize("has_voice", [True, False])
def test_captions_say_what_was_arranged_and_not_how_it_was_produced(scale, has_voice):
    for seed in range(60):
        arrangement = arrange(scale, 4.096, has_voice, numpy_generator(seed, "arrange"))
        caption = captions.write_caption(scale, arrangement, numpy_generator(seed, "caption"))
        text = caption.text.lower()
        assert all(word in text for word in (*arrangement.words, caption.mood))
        assert text.endswith(".") and "{" not in text and "  " not in text
        assert not FAULT_TALK.search(text), text
        assert bool(re.search("choir|singing|synthetic voice", text)) == has_voice
        assert arrangement.singer is None or arrangement.singer.word in text


def test_tables_are_complete() -> None:
    assert set(product(("major", "minor"), captions.TEMPO_WORDS)) == set(captions.MOODS)
    words = [word for moods in captions.MOODS.values() for word in moods]
    assert len(words) == len(set(words)), "a mood word stands for one mode and tempo"
