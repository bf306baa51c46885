"""Audio in notebooks as small files with a label, never as base64 and never re-levelled.

``IPython.display.Audio(array)`` embeds the wave twice and by default normalises it, which makes a
comparison of loudness meaningless. Here each wave becomes one MP3 named by its content.
"""

import hashlib
from collections.abc import Mapping
from html import escape
from pathlib import Path

from torch import Tensor

from attm_companion.book.layout import static_folder
from attm_companion.book.tables import HtmlView
from attm_core.audio import check_wave, load_audio, save_audio
from attm_core.errors import InputError

Sound = Path | Tensor


def players(
    sounds: Mapping[str, Sound], title: str = "", sample_rate_hz: int | None = None
) -> HtmlView:
    """Several players side by side, for comparing; levels are those of the sounds.

    Args:
        sounds: caption → an audio file, or a wave (C, S) or (S,) in [−1, 1].
        title: what is compared.
        sample_rate_hz: rate of the waves; not used for files.

    Raises:
        InputError: no caption, no rate for a wave, or a wave that is not finite.
    """
    figures = "".join(_figure(sound, text, sample_rate_hz) for text, sound in sounds.items())
    label = f'<p class="attm-players-title">{escape(title)}</p>' if title else ""
    plain = "\n".join([title] * bool(title) + [f"[sound] {caption}" for caption in sounds])
    return HtmlView(f'<div class="attm-players">{label}{figures}</div>', plain)


def _figure(sound: Sound, caption: str, sample_rate_hz: int | None) -> str:
    if not caption.strip():
        raise InputError("a player needs a caption that says what is heard")
    player = audio_html(store(sound, sample_rate_hz).name, caption)
    words = escape(caption)
    return f'<figure class="attm-player"><figcaption>{words}</figcaption>{player}</figure>'


def audio_html(name: str, label: str) -> str:
    """A labelled audio element of a stored file, which loads nothing before it is played."""
    words = escape(label)
    return f'<audio controls preload="none" src="static/{name}" aria-label="{words}"></audio>'


def store(sound: Sound, sample_rate_hz: int | None, suffix: str = ".mp3") -> Path:
    """The file of a sound, named by its content; ``InputError`` without a rate or if not finite."""
    if isinstance(sound, str | Path):
        wave, rate = load_audio(Path(sound))
    elif sample_rate_hz is None:
        raise InputError("say the sample rate of the wave: players(waves, title, rate)")
    else:
        wave, rate = sound.detach().cpu().float(), sample_rate_hz
        wave = check_wave(wave[None] if wave.ndim == 1 else wave, "sound to play")
    digest = hashlib.sha256(wave.contiguous().numpy().tobytes() + f"{rate}".encode())
    path = static_folder() / f"{digest.hexdigest()[:20]}{suffix}"
    if not path.is_file():
        save_audio(path, wave.clamp(-1.0, 1.0), rate)
    return path
