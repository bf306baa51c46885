"""The listening room: its HTML, and the whole of it played in a real browser from ``file://``."""

import json
import math
import re
import shutil
import subprocess
import sys
from urllib.parse import unquote

import pytest
import torch

from attm_companion.book.html_gates import page_problems
from attm_companion.book.room import Version, level_gains, peaks, room
from attm_companion.study.result_files import ROOT
from attm_core.audio import load_audio
from attm_core.errors import InputError
from attm_core.generation.loudness import integrated_loudness

RATE = 16_000
NAMES = ("baseline", "SFT", "CRPO")
KNOB = [(s, w) for w in (1.0, 4.0) for s in (-0.5, 0.0, 2.0, 5.0)]


def tone(hertz, level=0.2, seconds=3.0):
    return level * torch.sin(2 * torch.pi * hertz * torch.arange(int(seconds * RATE)) / RATE)


def versions(low):
    """Reward rises along the chain, CLAP falls; the second is 6 dB louder than the others."""
    return [
        Version(
            name, tone(low * (1 + k), 0.2 * (1 + (k == 1))), {"reward": k, "clap": 0.4 - k / 10}
        )
        for k, name in enumerate(NAMES)
    ]


def knob():
    return [
        Version(f"s = {s:g}, w = {w:g}", tone(200 + 40 * s + 9 * w), {"reward": s + w, "clap": 0.3},
                {"s": s, "w": w})
        for s, w in KNOB
    ]  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("room")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTM_STATIC_DIR", str(folder / "static"))
        two = {"a calm <piano>": versions(200), "fast drums": versions(330)}
        parts = [room("The chain", two, RATE).html, room("The knob", {"lute": knob()}, RATE).html]
    for name in ("room.js", "room.css"):
        shutil.copy2(ROOT / "book" / "_static" / name, folder)
    head = (
        '<title>Room</title><link rel="icon" href="data:,"><link rel="stylesheet" href="room.css">'
    )
    body = "<main><h1>Listen</h1>" + "".join(parts) + "</main>"
    html = f'<!doctype html><html lang="en"><meta charset="utf-8">{head}<body>{body}'
    path = folder / "page.html"
    path.write_text(html + '<script src="room.js"></script></body></html>', encoding="utf-8")
    return path


def test_without_a_script_there_are_labelled_lossless_players(page):
    html = page.read_text(encoding="utf-8")
    assert page_problems(html, page, page.parent) == []
    assert html.count("<audio") == 2 * 3 + len(KNOB)
    assert "SFT, Reward 1.00, CLAP 0.30</figcaption>" in html
    source = re.search(r'data-name="SFT".*?src="(static/\w+\.flac)"', html)[1]
    wave, rate = load_audio(page.parent / source)
    assert rate == RATE
    torch.testing.assert_close(wave[0], tone(400, 0.4), atol=2**-15, rtol=0)


def test_the_gain_makes_versions_equally_loud(page):
    found = re.findall(r'data-name="(\w+)" data-gain="([\d.-]+)"', page.read_text(encoding="utf-8"))
    loudness = [integrated_loudness(v.wave[None], RATE) for v in versions(200)]
    after = [level + float(gain) for level, (_, gain) in zip(loudness, found[:3], strict=True)]
    assert max(after) - min(after) < 0.02
    assert max(float(gain) for _, gain in found[:3]) == 0
    assert level_gains([-20.0, -math.inf]) == [0, 0]
    assert level_gains([-math.inf]) == [0]


def test_a_waveform_shows_where_it_is_loud():
    drawn = peaks(torch.cat([tone(440, 0.5), tone(440, 0.1)]))
    assert drawn[:80] == [50] * 80
    assert drawn[80:] == [10] * 80


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "needs a title and a prompt"),
        ({"one": versions(200)[:1]}, "two or more"),
        ({"one": versions(200), "two": versions(200)[::-1]}, "the same"),
    ],
)
def test_refused(prompts, message):
    with pytest.raises(InputError, match=message):
        room("title", prompts, RATE)


class Listener:
    """Someone at the page with a keyboard."""

    def __init__(self, page):
        self.page, self.keyboard = page, page.keyboard
        self.room = page.locator(".attm-room").first

    def state(self, expression, nth=0):
        return self.page.evaluate(
            f"(() => {{ const room = document.querySelectorAll('.attm-room')[{nth}].attmRoom; "
            f"return {expression}; }})()"
        )

    def mode(self, text):
        self.room.get_by_label(text, exact=True).check()

    def vote(self, prefer):
        """Hear every version by its letter, then press the button that ``prefer`` chooses."""
        buttons = self.room.locator(".attm-vote")
        assert buttons.first.is_disabled()
        self.room.locator(".attm-wave").focus()
        self.keyboard.press(" ")
        for letter in self.state("room.choices.map(([label]) => label.toLowerCase())"):
            self.keyboard.press(letter)
            heard = f"document.querySelector('.attm-room').attmRoom.heard.get('{letter.upper()}')"
            self.page.wait_for_function(f"{heard} >= 1")
        self.page.wait_for_function("!document.querySelector('.attm-vote').disabled")
        buttons.nth(prefer(self.state("room.asked"))).click()


@pytest.fixture
def listener(browser, page):
    """At the page in a tab of its own, from which no request leaves the machine."""
    tab, requests = browser.new_page(), []
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("pageerror", lambda error: pytest.fail(str(error)))
    tab.goto(page.as_uri())
    yield Listener(tab)
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def test_versions_switch_at_once_in_step_and_at_one_loudness(listener):
    listener.room.get_by_role("button", name="Play").press("Enter")
    playing = "document.querySelector('.attm-room').attmRoom.audio.currentTime > 0.3"
    listener.page.wait_for_function(playing)
    before = listener.state("room.audio.currentTime")
    listener.keyboard.press("2")
    jump = listener.state("room.audio.currentTime") - before
    assert -0.1 < jump < 1.5, "the new sound goes on where the old one was"
    audible = listener.state("room.sounds.map((a) => !a.muted && !a.paused)")
    assert audible == [False, True, False]
    assert listener.state("room.audio.volume") == pytest.approx(0.5, rel=0.1)
    reading = listener.room.locator("output.attm-reading").first.inner_text()
    assert reading.startswith("SFT: Reward 1.00, CLAP 0.30;")
    assert "played at −6." in reading
    listener.room.get_by_label("SFT", exact=True).press("ArrowRight")
    assert listener.state("room.names[room.current]") == "CRPO"
    listener.room.locator(".attm-wave").focus()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert listener.page.evaluate(outline) == "solid"
    listener.keyboard.press(" ")
    assert listener.state("room.sounds.every((a) => a.paused)")


def test_the_knob_moves_sound_and_scores(listener):
    listener.page.get_by_label("s", exact=True).press("End")
    assert listener.state("room.choices[room.current][0]", nth=1) == "s = 5, w = 1"
    cells = listener.page.locator(".attm-grid td[aria-current]")
    assert cells.all_inner_texts() == ["6.00", "0.30"]


def test_votes_are_blind_outlive_a_reload_and_can_be_taken_along(listener, browser):
    listener.mode("blind: A or B")
    blind = listener.room.inner_text()
    assert "Still to hear: A and B" in blind
    assert not any(f"{name}:" in blind for name in NAMES)
    for _ in range(2):
        listener.vote(lambda asked: int(asked["b"] > asked["a"]))  # the higher Reward
    listener.mode("blind: is X A or B?")
    listener.vote(lambda asked: int(asked["x"] == asked["b"]))  # the right answer
    listener.page.reload()
    listener.room.locator("summary").click()
    own = listener.state("room.votes.list")
    assert [vote[0] for vote in own] == [0, 0, 1]
    results = listener.room.locator(".attm-results").inner_text()
    for words in ("ABX: 1 of 1 right, p = 0.5000", "the higher Reward in 2 of 2 votes (p = 0.5000",
                  "the higher CLAP in 0 of 2 votes", "Bradley–Terry"):  # fmt: skip
        assert words in results
    saved = listener.room.locator(".attm-export").get_attribute("href")
    saved = json.loads(unquote(saved.partition(",")[2]))
    assert [vote["kind"] for vote in saved["votes"]] == ["ab", "ab", "abx"]
    assert {"prompt", "version", "reward", "clap", "lufs", "gain_db"} == set(saved["scores"][0])
    other = browser.new_context().new_page()  # another reader's browser
    other.goto(listener.room.locator(".attm-results input").input_value())
    assert other.evaluate("document.querySelector('.attm-room').attmRoom.votes.list") == own


POISON = (
    "<img src='x.png'><p style='color:#aaa;background:#fff'>pale</p><pre style='width:2000px'>x"
)


@pytest.mark.usefixtures("browser")
def test_pages_are_checked_in_the_browser(page, tmp_path):
    """The room passes the gate of the book; a page with an unlabelled picture does not."""
    command = [sys.executable, str(ROOT / "scripts" / "check_pages.py")]
    clean = subprocess.run(
        [*command, str(page.parent)], capture_output=True, text=True, check=False
    )
    assert (clean.returncode, clean.stdout) == (0, "1 pages, 0 problems\n")
    (tmp_path / "bad.html").write_text(f"<html lang='en'><title>x</title><main><h1>x</h1>{POISON}")
    poisoned = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert poisoned.returncode == 1
    for words in ("axe image-alt", "axe color-contrast", "wider than 1280 px: pre"):
        assert words in poisoned.stdout
