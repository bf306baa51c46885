"""A listening room: versions of a prompt in step and at one loudness, open or blind.

Written here are the sounds, lossless, and their players with what is known of each; ``room.js``
makes the room of them in the reader's browser, also from ``file://``. Without JavaScript the
players remain. With sliders instead of names the same room is a knob to hear.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import torch
from torch import Tensor

from attm_companion.book.players import audio_html, store
from attm_companion.book.tables import HtmlView
from attm_core.errors import InputError
from attm_core.generation.loudness import GATE_S, integrated_loudness

LARGEST_CUT_DB = 12.0  # a version further below the loudest stays quieter; its caption says so
N_PEAKS = 160
SCORE_NAMES = {"reward": "Reward", "clap": "CLAP"}


@dataclass(frozen=True)
class Version:
    """One of several sounds for a prompt."""

    name: str  # what it is
    wave: Tensor  # (S,) or (C, S) in [−1, 1], all of a prompt equally long
    scores: Mapping[str, float] = field(default_factory=dict)  # ``reward``, ``clap``, if known
    place: Mapping[str, float] = field(default_factory=dict)  # on the sliders, such as ``s``, ``w``


def room(
    title: str, prompts: Mapping[str, Sequence[Version]], sample_rate_hz: int, blind: bool = True
) -> HtmlView:
    """A listening room. End a cell with it.

    Raises:
        InputError: fewer than two versions of a prompt, or other names than the first prompt's.
    """
    expected = [version.name for version in next(iter(prompts.values()), ())]
    for caption, versions in prompts.items():
        if len(versions) < 2 or [version.name for version in versions] != expected:
            raise InputError(
                f"'{caption}' needs the same two or more versions as the other prompts"
            )
    if not prompts or not title.strip():
        raise InputError("a listening room needs a title and a prompt")
    parts = [_prompt(caption, versions, sample_rate_hz) for caption, versions in prompts.items()]
    knob = any(version.place for versions in prompts.values() for version in versions)
    kind = " data-knob" if knob else " data-blind" if blind else ""
    body = "".join(parts)
    identity = hashlib.sha256(body.encode()).hexdigest()[:12]
    words = escape(title)
    named = f'data-room="{identity}" data-title="{words}" aria-label="{words}"'
    head = f'<section class="attm-room"{kind} {named}><p class="attm-players-title">{words}</p>'
    plain = [f"[room] {title}", *(f"  {caption}: {', '.join(expected)}" for caption in prompts)]
    return HtmlView(f"{head}{body}</section>", "\n".join(plain))


def _prompt(caption: str, versions: Sequence[Version], rate: int) -> str:
    loudness = [_loudness(version.wave, rate) for version in versions]
    gains = level_gains(loudness)
    figures = "".join(
        _figure(caption, version, rate, level, gain)
        for version, level, gain in zip(versions, loudness, gains, strict=True)
    )
    text = escape(caption)
    players = f'<p>{text}</p><div class="attm-players">{figures}</div>'
    return f'<div class="attm-prompt" data-prompt="{text}">{players}</div>'


def _figure(caption: str, version: Version, rate: int, lufs: float, gain: float) -> str:
    facts = {
        "name": version.name,
        "gain": f"{gain:.2f}",
        "lufs": f"{lufs:.1f}" if math.isfinite(lufs) else "",
        "peaks": " ".join(map(str, peaks(version.wave))),
        **{name: f"{value:.4f}" for name, value in version.scores.items()},
        **{f"at-{name}": f"{value:g}" for name, value in version.place.items()},
    }
    data = " ".join(f'data-{name}="{escape(text)}"' for name, text in facts.items())
    known = [
        f"{SCORE_NAMES[name]} {value:.2f}".replace("-", "−")
        for name, value in version.scores.items()
    ]
    words = ", ".join([version.name, *known])
    source = store(version.wave, rate, ".flac").name
    player = audio_html(source, f"{version.name}: {caption}")
    inside = f"<figcaption>{escape(words)}</figcaption>{player}"
    return f'<figure class="attm-player attm-version" {data}>{inside}</figure>'


def _loudness(wave: Tensor, rate: int) -> float:
    """LUFS; −∞ for silence and for what is too short to have a loudness."""
    if wave.shape[-1] < GATE_S * rate:
        return -math.inf
    return integrated_loudness(wave if wave.ndim == 2 else wave[None], rate)


def level_gains(lufs: Sequence[float]) -> list[float]:
    """Gains in dB, none above 0, that bring versions to the loudness of the quietest.

    A version more than ``LARGEST_CUT_DB`` below the loudest does not pull it down further.

    >>> level_gains([-16.5, -18.0, -60.0])
    [-12.0, -10.5, 0.0]
    """
    audible = [level for level in lufs if math.isfinite(level)]
    target = max(min(audible), max(audible) - LARGEST_CUT_DB) if audible else 0.0
    return [min(0.0, target - level) if math.isfinite(level) else 0.0 for level in lufs]


def peaks(wave: Tensor) -> list[int]:
    """Largest amplitude in each of 160 equal parts, in percent of full scale: a waveform."""
    loudest = wave.detach().abs().reshape(-1, wave.shape[-1]).amax(dim=0)
    columns = torch.nn.functional.adaptive_max_pool1d(loudest[None].float(), N_PEAKS)[0]
    return [round(100 * value) for value in columns.clamp(0, 1).tolist()]
