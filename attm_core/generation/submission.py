"""The challenge archive of Sub. 1 and Sub. 2 (Section III-E(c)): one WAV a prompt and a record.

An archive holds ``{id}.wav`` (16-bit mono PCM) for each prompt and ``metadata.json``. The same
clips give the same bytes: entries are sorted and carry no date.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.audio import check_wave
from attm_core.errors import InputError
from attm_core.files import write_atomic

METADATA = "metadata.json"
FORMAT_VERSION = 1
SUBTYPE = "PCM_16"
MAX_ENTRY_BYTES = 64 * 2**20  # far above any 10-second clip; stops decompression bombs
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip entry can carry
FILE_MODE = 0o644 << 16

CLIP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # ids become file names


@dataclass(frozen=True)
class SubmissionSummary:
    """What a verified archive holds.

    Attributes:
        ids: prompt ids in order.
        sample_rate_hz: rate shared by all clips.
        n_samples: length of each clip.
        record: the metadata given when it was built.
    """

    ids: tuple[str, ...]
    sample_rate_hz: int
    n_samples: tuple[int, ...]
    record: dict[str, Any]

    def describe(self) -> str:
        """Number of clips, rate and range of durations."""
        seconds = [n / self.sample_rate_hz for n in self.n_samples]
        return (
            f"{len(self.ids)} clips at {self.sample_rate_hz} Hz, "
            f"{min(seconds):.3f} to {max(seconds):.3f} s"
        )


def build_submission(
    path: Path,
    clips: Mapping[str, Float[Tensor, "1 S"]],
    sample_rate_hz: int,
    record: Mapping[str, Any],
) -> Path:
    """Write the archive atomically.

    Args:
        path: the ``.zip`` to write.
        clips: mono audio by prompt id, within ±1.
        sample_rate_hz: rate of all clips.
        record: how they were made (seed, s, w, steps, checkpoint hash, …); JSON values.

    Returns:
        ``path``.

    Raises:
        InputError: no clips, an unusable id, audio that is not mono, finite and within ±1, or a
            record that is not JSON.
    """
    if not clips:
        raise InputError("a submission needs at least one clip")
    for clip_id, wave in clips.items():
        _check_clip(clip_id, wave)
    ids = sorted(clips)

    def write(part: Path) -> None:
        listed: list[dict[str, Any]] = []
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for clip_id in ids:
                data = _wav_bytes(clips[clip_id], sample_rate_hz)
                listed.append(_listing(clip_id, clips[clip_id].shape[1], data))
                _add(archive, f"{clip_id}.wav", data)
            _add(archive, METADATA, _metadata(listed, sample_rate_hz, record))

    return write_atomic(path, write)


def _check_clip(clip_id: str, wave: Tensor) -> None:
    if not CLIP_ID.fullmatch(clip_id) or clip_id.endswith("."):
        raise InputError(
            f"{clip_id!r} is no usable prompt id: letters, digits, '.', '_' and '-', up to 100"
        )
    check_wave(wave, f"clip {clip_id}")
    if wave.shape[0] != 1:
        raise InputError(f"clip {clip_id} has {wave.shape[0]} channels; submissions are mono")
    peak = float(wave.abs().max())
    if peak > 1.0:
        raise InputError(f"clip {clip_id} peaks at {peak:.3f} and would clip; normalise it first")


def _wav_bytes(wave: Tensor, sample_rate_hz: int) -> bytes:
    import soundfile

    stream = io.BytesIO()
    data = wave[0].detach().cpu().float().numpy()
    soundfile.write(stream, data, sample_rate_hz, subtype=SUBTYPE, format="WAV")
    return stream.getvalue()


def _listing(clip_id: str, n_samples: int, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    return {"id": clip_id, "n_samples": n_samples, "sha256": digest}


def _metadata(
    listed: list[dict[str, Any]], sample_rate_hz: int, record: Mapping[str, Any]
) -> bytes:
    content = {
        "format_version": FORMAT_VERSION,
        "sample_rate_hz": sample_rate_hz,
        "clips": listed,
        "record": dict(record),
    }
    try:
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the submission record cannot be written as JSON: {error}") from error
    return text.encode()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = FILE_MODE
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, on every machine
    archive.writestr(entry, data)


def verify_submission(path: Path, expected_ids: Iterable[str] | None = None) -> SubmissionSummary:
    """Check an archive without unpacking it to disk.

    Args:
        path: the archive.
        expected_ids: the prompts that must all be there, and nothing else.

    Returns:
        What it holds.

    Raises:
        InputError: not a zip; an entry whose name leaves the archive, appears twice or is unknown;
            metadata missing or malformed; a clip missing, altered, or not 16-bit mono PCM at the
            common rate; or other prompts than expected.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _verified(archive, Path(path).name, expected_ids)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise InputError(f"{path} is not a readable zip archive: {error}") from error


def _verified(
    archive: zipfile.ZipFile, name: str, expected_ids: Iterable[str] | None
) -> SubmissionSummary:
    _check_entries(archive, name)
    metadata = _read_metadata(archive, name)
    rate = metadata["sample_rate_hz"]
    ids = tuple(clip["id"] for clip in metadata["clips"])
    names = {f"{clip_id}.wav" for clip_id in ids} | {METADATA}
    odd = names.symmetric_difference(archive.namelist())
    if odd or len(set(ids)) != len(ids):
        raise InputError(f"{name}: clips and metadata disagree about {sorted(odd)[:5] or 'ids'}")
    if expected_ids is not None and (odd_ids := set(ids).symmetric_difference(expected_ids)):
        raise InputError(f"{name}: missing or unexpected prompts {sorted(odd_ids)[:5]}")
    for clip in metadata["clips"]:
        _check_wav(archive.read(f"{clip['id']}.wav"), clip, rate, name)
    lengths = tuple(clip["n_samples"] for clip in metadata["clips"])
    return SubmissionSummary(ids, rate, lengths, metadata["record"])


def _check_entries(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse names that leave the archive, duplicates and entries of absurd size."""
    seen: set[str] = set()
    for entry in archive.infolist():
        stem = entry.filename.removesuffix(".wav").removesuffix(".json")
        if not CLIP_ID.fullmatch(stem) or ".." in entry.filename:
            raise InputError(f"{name}: entry {entry.filename!r} is not a plain file name")
        if entry.filename in seen:
            raise InputError(f"{name}: entry {entry.filename!r} appears twice")
        if entry.file_size > MAX_ENTRY_BYTES:
            raise InputError(
                f"{name}: entry {entry.filename!r} unpacks to over {MAX_ENTRY_BYTES} B"
            )
        seen.add(entry.filename)


def _read_metadata(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    try:
        metadata: dict[str, Any] = json.loads(archive.read(METADATA))
        well_formed = (
            metadata["format_version"] == FORMAT_VERSION
            and isinstance(metadata["sample_rate_hz"], int)
            and isinstance(metadata["record"], dict)
            and all(
                isinstance(clip["id"], str)
                and isinstance(clip["n_samples"], int)
                and isinstance(clip["sha256"], str)
                for clip in metadata["clips"]
            )
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{name}: {METADATA} is missing or malformed ({error})") from error
    if not well_formed or not metadata["clips"]:
        raise InputError(f"{name}: {METADATA} is malformed or lists no clip")
    return metadata


def _check_wav(data: bytes, clip: Mapping[str, Any], sample_rate_hz: int, name: str) -> None:
    import soundfile

    if hashlib.sha256(data).hexdigest() != clip["sha256"]:
        raise InputError(f"{name}: clip {clip['id']} does not match its hash")
    try:
        info = soundfile.info(io.BytesIO(data))
    except soundfile.SoundFileError as error:
        raise InputError(f"{name}: clip {clip['id']} is not audio: {error}") from error
    found = (info.subtype, info.channels, info.samplerate, info.frames)
    wanted = (SUBTYPE, 1, sample_rate_hz, clip["n_samples"])
    if found != wanted:
        raise InputError(f"{name}: clip {clip['id']} is {found}, expected {wanted}")


def read_clip(path: Path, clip_id: str) -> tuple[Float[Tensor, "1 S"], int]:
    """One clip of an archive and its rate in Hz.

    Raises:
        InputError: no such clip.
    """
    import soundfile

    try:
        with zipfile.ZipFile(path) as archive:
            data, rate = soundfile.read(io.BytesIO(archive.read(f"{clip_id}.wav")), dtype="float32")
    except (KeyError, FileNotFoundError, zipfile.BadZipFile, soundfile.SoundFileError) as error:
        raise InputError(f"{path} holds no readable clip {clip_id!r}: {error}") from error
    return torch.from_numpy(data)[None], int(rate)
