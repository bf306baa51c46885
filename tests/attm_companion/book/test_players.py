import re

import pytest
import torch

from attm_companion.book.notebook_gates import html_sources
from attm_companion.book.players import players
from attm_core.audio import load_audio, save_audio
from attm_core.errors import InputError

RATE = 16_000
TONE = 0.1 * torch.sin(2 * torch.pi * 440 * torch.arange(RATE) / RATE)


@pytest.fixture(autouse=True)
def static(tmp_path, monkeypatch):
    folder = tmp_path / "nb" / "static"
    monkeypatch.setenv("ATTM_STATIC_DIR", str(folder))
    return folder


def test_a_player_is_labelled_loads_nothing_and_embeds_nothing(static):
    html = players({'A "tone"': TONE}, "", RATE).html
    assert "<figcaption>A &quot;tone&quot;</figcaption>" in html
    assert 'preload="none"' in html and 'aria-label="A &quot;tone&quot;"' in html
    assert "base64" not in html
    (source,) = html_sources(html)
    assert re.fullmatch(r"static/[0-9a-f]{20}\.mp3", source)
    assert (static.parent / source).is_file()


def test_the_level_is_kept(static):
    for level in (1.0, 0.1):
        (source,) = html_sources(players({"tone": level * TONE}, "", RATE).html)
        heard, rate = load_audio(static.parent / source)
        assert rate == RATE
        middle = heard[0, 4000:12000]
        assert middle.std().item() == pytest.approx(0.1 * level / 2**0.5, rel=0.03)


def test_the_same_sound_is_one_file_under_a_title_and_a_file_can_be_played(static, tmp_path):
    first, again = players({"a": TONE}, "", RATE).html, players({"b": TONE[None]}, "", RATE).html
    assert html_sources(first) == html_sources(again)
    assert html_sources(players({"c": 0.5 * TONE}, "", RATE).html) != html_sources(first)
    assert len(list(static.iterdir())) == 2
    path = save_audio(tmp_path / "tone.wav", torch.stack([TONE, TONE]), RATE)
    (source,) = html_sources(players({"a file": path}).html)
    assert load_audio(static.parent / source)[0].shape[0] == 2
    html = players({"quiet": 0.1 * TONE, "loud": TONE}, "Two levels", RATE).html
    assert len(html_sources(html)) == 2
    assert "Two levels" in html
    assert repr(players({"quiet": TONE}, "", RATE)) == "[sound] quiet"


@pytest.mark.parametrize(
    ("caption", "wave", "rate", "message"),
    [
        ("no rate", TONE, None, "sample rate"),
        (" ", TONE, RATE, "needs a caption"),
        ("x", TONE * torch.nan, RATE, "NaN"),
        ("x", TONE[:0], RATE, "no samples"),
    ],
)
def test_refused(caption, wave, rate, message):
    with pytest.raises(InputError, match=message):
        players({caption: wave}, "", rate)
