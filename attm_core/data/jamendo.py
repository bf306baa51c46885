"""MTG-Jamendo as the paper's training data: captions, 10-s windows, splits (Section III-D(a)).

The paper starts from captions of about 55 K tracks and cuts about 535 K clips of 10 s. A table of
those clips is made here, from the captions and the headers of the audio files alone; their latents
and scores are computed by `attm_core.data.shards`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import pandas as pd

from attm_core.configuration import WindowConfig
from attm_core.errors import ConfigError, InputError
from attm_core.files import read_json
from attm_core.progress import track
from attm_core.randomness import derived_seed

_SPLITS = ("train", "valid", "test")
COLUMNS = ("clip_id", "track_id", "path", "start_s", "duration_s", "caption", "split")
_HEADER_THREADS = 8


@dataclass(frozen=True)
class Caption:
    """One line of the captions: a track's path below the audio folder, and what it says."""

    path: str
    caption: str

    @property
    def track_id(self) -> str:
        """The file's name without its endings: ``14/214.low.mp3`` is track ``214``."""
        return PurePosixPath(self.path).name.split(".", 1)[0]


def read_captions(path: Path) -> list[Caption]:
    """Read ``jamendo_qwen.json``: a list of ``{"path": "14/214.mp3", "caption": "…"}``, at least.

    Raises:
        InputError: it is missing, is not JSON, is not such a list, has an empty caption, names a
            track twice, or has a path that leads out of the audio folder.
    """
    records = read_json(path)
    if not isinstance(records, list) or not records:
        raise InputError(f"{path} must hold a list of objects with 'path' and 'caption'")
    captions: dict[str, Caption] = {}
    for number, record in enumerate(records):
        place = f"{path}, record {number}"
        if not isinstance(record, dict):
            raise InputError(f"{place}: {type(record).__name__} instead of an object")
        file, text = record.get("path"), record.get("caption")
        if not (isinstance(file, str) and isinstance(text, str) and file and text.strip()):
            raise InputError(f"{place}: 'path' and 'caption' must be texts that are not empty")
        caption = Caption(safe_path(file, place), text.strip())
        if caption.track_id in captions:
            raise InputError(f"{path} captions track {caption.track_id} twice; keep one of them")
        captions[caption.track_id] = caption
    return [*captions.values()]


def safe_path(path: str, place: str) -> str:
    """``path`` if it stays below the folder it is relative to.

    Raises:
        InputError: it is absolute or has ``..`` or a backslash in it.
    """
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path or "\0" in path or not parts.name:
        raise InputError(f"{place}: {path!r} leads out of the audio folder; it must not")
    return path


@dataclass(frozen=True)
class _Track:
    """One track as its header describes it; ``problem`` says why it cannot be used, or ``""``."""

    track_id: str
    path: str
    caption: str
    n_samples: int
    sample_rate_hz: int
    problem: str


def window_table(
    captions: Sequence[Caption], audio_root: Path, config: WindowConfig | None = None
) -> pd.DataFrame:
    """A row per clip, the same for the same files whatever the order of the captions.

    Training rows come track by track. Held-out rows come window by window: the first hundred rows
    of ``valid`` are the first windows of a hundred tracks. Where ``14/214.mp3`` is not below
    ``audio_root``, ``14/214.low.mp3`` of the data set's smaller edition is taken; None for
    ``config`` is the published rule.

    Returns:
        Columns `COLUMNS`. ``attrs["skipped"]`` has a ``"path: reason"`` for each track left out
        because it is missing, unreadable or too short.

    Raises:
        InputError: no track can be used.
        ConfigError: there are no more tracks than are to be held out.
    """
    config = config or WindowConfig()
    excluded = set(config.exclude)
    wanted = [c for c in captions if c.track_id not in excluded]
    wanted.sort(key=lambda caption: (caption.path, caption.track_id))
    with ThreadPoolExecutor(_HEADER_THREADS) as pool:
        read = pool.map(partial(_read_header, Path(audio_root), config.min_track_s), wanted)
        tracks = list(track(read, "audio headers", total=len(wanted)))
    usable = [item for item in tracks if not item.problem]
    if not usable:
        found = tracks[0].problem if tracks else "no captions are left"
        raise InputError(f"no track below {audio_root} can be used (the first: {found})")
    table = _table(usable, config)
    table.attrs["skipped"] = [f"{item.path}: {item.problem}" for item in tracks if item.problem]
    return table


def _read_header(root: Path, min_track_s: float, caption: Caption) -> _Track:
    import soundfile

    path, n_samples, rate, problem = caption.path, 0, 1, ""
    low = str(PurePosixPath(path).with_suffix(f".low{PurePosixPath(path).suffix}"))
    path = low if not (root / path).is_file() and (root / low).is_file() else path
    try:
        info = soundfile.info(str(root / path))
        n_samples, rate = int(info.frames), int(info.samplerate)
        if n_samples < min_track_s * rate:
            problem = f"lasts {n_samples / rate:.1f} s, less than {min_track_s:g} s"
    except (soundfile.SoundFileError, OSError) as error:
        problem = "missing" if not (root / path).is_file() else f"unreadable ({error})"
    return _Track(caption.track_id, path, caption.caption, n_samples, rate, problem)


def _window_starts(n_samples: int, rate: int, config: WindowConfig) -> list[int]:
    """First sample of each window: ``n = clip(⌊length / 10 s⌋, 1, 10)`` of them, evenly spread."""
    width = round(config.window_s * rate)
    n = min(config.max_windows, max(n_samples // width, 1))
    stride = (n_samples - width) // (n - 1) if n > 1 else 0
    return [place * stride for place in range(n)]


def _table(tracks: Sequence[_Track], config: WindowConfig) -> pd.DataFrame:
    """The windows: training tracks one after the other, held-out ones window by window."""
    split_of = _assign_tracks([item.track_id for item in tracks], config)
    place = {track_id: rank for rank, track_id in enumerate(split_of)}
    rows = []
    for item in tracks:
        rate, split = item.sample_rate_hz, split_of[item.track_id]
        duration_s, held_out = min(config.window_s, item.n_samples / rate), split != "train"
        for number, start in enumerate(_window_starts(item.n_samples, rate, config)):
            order = _SPLITS.index(split), held_out * number, held_out * place[item.track_id]
            named = f"{item.track_id}_{number:02d}", item.track_id, item.path
            rows.append((order, (*named, start / rate, duration_s, item.caption, split)))
    rows.sort(key=lambda row: row[0])
    return pd.DataFrame([row for _, row in rows], columns=list(COLUMNS))


def _assign_tracks(track_ids: Sequence[str], config: WindowConfig) -> Mapping[str, str]:
    """Split of each track, in the order of a draw that depends on its id and the seed alone.

    Tracks are ranked by a hash: one track more or less moves at most two others.
    """
    # PAPER-SILENT: how the 200 + 200 tracks are drawn. The released split script shuffles with a
    # list order that is not published; any such list gives other tracks.
    held_out = config.n_valid + config.n_test
    if len(track_ids) <= held_out:
        raise ConfigError(
            f"{len(track_ids)} tracks cannot lose {held_out} to validation and test; set n_valid "
            "and n_test lower"
        )
    ranked = sorted(track_ids, key=lambda name: (derived_seed(config.seed, "split", name), name))
    splits = ["valid"] * config.n_valid + ["test"] * config.n_test
    splits += ["train"] * (len(ranked) - held_out)
    return dict(zip(ranked, splits, strict=True))
