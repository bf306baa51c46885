"""The Song Describer Dataset, whose 706 tracks are the reference of FAD-CLAP (Section IV).

``song_describer.csv`` has a row per caption, ``audio.zip`` a two-minute MP3 per track. The audio is
read where it lies: nothing is unpacked.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.audio import fit_length, load_audio, resample, to_mono
from attm_core.data.jamendo import safe_path
from attm_core.errors import AssetError, InputError

CAPTIONS = "song_describer.csv"
AUDIO = "audio.zip"
_N_TRACKS = 706
_CLIP_S = 10.0
_MAX_FILE_BYTES = 64 << 20  # two minutes of MP3 are 5 MB
_NEEDED = ("caption_id", "track_id", "caption", "is_valid_subset", "path", "duration")
_VALID = {"true": True, "false": False}


def read_song_describer(path: Path) -> pd.DataFrame:
    """Read ``song_describer.csv``.

    Returns:
        A row per caption, by ``caption_id``: ``caption_id`` and ``track_id`` (texts), ``caption``,
        ``is_valid_subset`` (``boolean``: the published file leaves some cells empty), ``path`` and
        ``duration_s`` of the full track.

    Raises:
        InputError: it is missing or no CSV, lacks a column, has an empty caption or id, a path that
            leads out of the audio folder, or two captions with one id.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise InputError(
            f"{path} does not exist; run `attm assets fetch song_describer`"
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a CSV file: {error}") from error
    if missing := [name for name in _NEEDED if name not in table]:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}")
    texts: pd.DataFrame = table[["caption_id", "track_id", "caption", "path"]].apply(
        lambda side: side.str.strip()
    )
    if not len(texts) or (texts == "").any(axis=None):
        raise InputError(f"{path} has no captions, or an empty caption, id or path")
    if texts["caption_id"].duplicated().any():
        raise InputError(f"{path} has two captions of one caption_id")
    for name in texts["path"]:
        safe_path(name, str(path))
    duration_s = pd.to_numeric(table["duration"], errors="coerce")
    valid = table["is_valid_subset"].str.strip().str.lower().map(_VALID).astype("boolean")
    whole = texts.assign(is_valid_subset=valid, duration_s=duration_s)
    return _by_number(whole, "caption_id")


def _by_number(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows by the number in a column of texts."""
    numbers = pd.to_numeric(table[column], errors="coerce")
    return table.iloc[np.argsort(numbers.to_numpy(), kind="stable")].reset_index(drop=True)


def reference_tracks(captions: pd.DataFrame, n_expected: int | None = _N_TRACKS) -> pd.DataFrame:
    """The tracks of SDD-706: every track once, with the first of its captions, by number.

    Raises:
        InputError: there are more or fewer than ``n_expected``; None takes any number.
    """
    # PAPER-DEVIATION: the paper calls SDD-706 an instrumental subset, and the ranker's release says
    # that 706 tracks remain once the captions marked invalid are dropped. 706 is the number of all
    # tracks of the data set, sung ones included, and 546 that of the validated part (C05). All
    # tracks are taken, since that is what the number names.
    tracks = captions.drop_duplicates("track_id")
    if n_expected is not None and len(tracks) != n_expected:
        raise InputError(
            f"{len(tracks)} tracks instead of {n_expected}; this is not the published "
            f"{CAPTIONS} (pass n_expected=None to take it as it is)"
        )
    return _by_number(tracks, "track_id")


class SongDescriberAudio:
    """``audio.zip``, read track by track.

    Raises:
        AssetError: it is missing, or not a ZIP archive.
        InputError: a name in it leads out of the archive, or two files are of one track.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = [item for item in archive.infolist() if not item.is_dir()]
        except (OSError, zipfile.BadZipFile) as error:
            raise AssetError(
                f"{path} cannot be read ({error}); run `attm assets fetch song_describer`"
            ) from error
        self._members: dict[str, str] = {}
        for member in members:
            # ``84/976784.2min.mp3`` is track 976784.
            name = safe_path(member.filename, str(path))
            track_id = PurePosixPath(name).name.split(".", 1)[0]
            if not track_id:  # a hidden file, as some archivers add
                continue
            if track_id in self._members:
                raise InputError(f"{path} holds track {track_id} twice")
            self._members[track_id] = name

    def clips(
        self, track_ids: Sequence[str], sample_rate_hz: int, duration_s: float = _CLIP_S
    ) -> Float[Tensor, "B S"]:
        """The middle of some tracks, mono; 706 tracks of 10 s at 44.1 kHz take 1.2 GB.

        Shorter tracks are padded with zeros at both ends.

        Raises:
            InputError: an unknown track, or one that cannot be decoded.
            AssetError: the archive is damaged.
        """
        if unknown := [name for name in track_ids if name not in self._members]:
            raise InputError(f"{self.path} lacks {len(unknown)} tracks, such as {unknown[0]!r}")
        n_samples = round(duration_s * sample_rate_hz)
        clips = torch.zeros(len(track_ids), n_samples)
        with zipfile.ZipFile(self.path) as archive:
            for clip, track_id in zip(clips, track_ids, strict=True):
                wave, rate = self._decode(archive, self._members[track_id])
                middle = centre(wave, round(duration_s * rate))
                clip[:] = fit_length(resample(middle, rate, sample_rate_hz)[0], n_samples)
        return clips

    def _decode(self, archive: zipfile.ZipFile, name: str) -> tuple[Float[Tensor, "1 S"], int]:
        """One track as mono, and its rate in Hz."""
        place = f"{name} in {self.path}"
        if archive.getinfo(name).file_size > _MAX_FILE_BYTES:
            raise InputError(
                f"{place} has more than {_MAX_FILE_BYTES >> 20} MiB; it is no such track"
            )
        try:
            packed = io.BytesIO(archive.read(name))
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            raise AssetError(f"{place} is damaged ({error}); fetch the archive again") from error
        wave, rate = load_audio(packed, name=place)
        return to_mono(wave), rate


def centre(wave: Float[Tensor, "C S"], n_samples: int) -> Float[Tensor, "C W"]:
    """The middle ``n_samples`` of a wave; a shorter one gets zeros at both ends."""
    # PAPER-SILENT: which 10 s of the two minutes are the reference (C168: the released call crops
    # at random). The middle is what the ranker's release takes, and needs no seed.
    spare = wave.shape[-1] - n_samples
    if spare >= 0:
        return wave[..., spare // 2 : spare // 2 + n_samples]
    left = -spare // 2
    return torch.nn.functional.pad(wave, (left, -spare - left))
