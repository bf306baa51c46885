"""The challenge archive of Sub. 1 and Sub. 2 (Section III-E(c)): a WAV per prompt and a record.

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
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from attm_core.audio import check_wave
from attm_core.errors import InputError, StorageError
from attm_core.files import write_atomic

_METADATA = "metadata.json"
_FORMAT_VERSION = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip entry can carry
_FILE_MODE = 0o644 << 16
_CLIP_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-])){0,99}")


def check_ids(ids: Iterable[str]) -> None:
    """Check that ids can name files on every system; call it before anything is generated.

    Raises:
        InputError: an id with other than letters, digits, ``_``, ``-`` and single inner dots, with
            over 100 characters, or equal to another but for its case.
    """
    seen: dict[str, str] = {}
    for name in ids:
        if not _CLIP_ID.fullmatch(name):
            raise InputError(
                f"{name!r} is no usable prompt id: up to 100 letters, digits, '_', '-' and single "
                "dots between them"
            )
        if (twin := seen.setdefault(name.lower(), name)) != name:
            raise InputError(f"ids {twin!r} and {name!r} differ in case only; rename one")


def write_submission(
    path: Path,
    clips: Mapping[str, Float[Tensor, "1 S"]],
    sample_rate_hz: int,
    record: Mapping[str, Any],
) -> Path:
    """Write the archive atomically, and read it back before it takes its name.

    ``clips`` are mono audio within ±1 by prompt id, all at one rate. ``record`` tells how they were
    made (seed, s, w, steps, checkpoint hash, …) in JSON values.

    Raises:
        InputError: no clips, an unusable id, audio that is not mono, finite and within ±1, a
            record that is not JSON.
        StorageError: the disk is full, or gives back other bytes than it got.
    """
    if not clips:
        raise InputError("a submission needs at least one clip")
    check_ids(clips)
    files = {f"{name}.wav": _wav(name, clips[name], sample_rate_hz) for name in sorted(clips)}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    listed = [
        {"id": name, "n_samples": clips[name].shape[1], "sha256": digests[f"{name}.wav"]}
        for name in sorted(clips)
    ]
    facts = {"format_version": _FORMAT_VERSION, "sample_rate_hz": sample_rate_hz}
    content = {**facts, "clips": listed, "record": dict(record)}
    try:
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the submission record cannot be written as JSON: {error}") from error
    files[_METADATA] = text.encode()
    return write_atomic(path, lambda part: _write(part, files))


def _wav(name: str, wave: Tensor, sample_rate_hz: int) -> bytes:
    import soundfile

    check_wave(wave, f"clip {name}")
    if wave.shape[0] != 1:
        raise InputError(f"clip {name} has {wave.shape[0]} channels; submissions are mono")
    if (peak := float(wave.abs().max())) > 1.0:
        raise InputError(f"clip {name} peaks at {peak:.3f} and would clip; normalise it first")
    stream, data = io.BytesIO(), wave[0].detach().cpu().float().numpy()
    soundfile.write(stream, data, sample_rate_hz, subtype="PCM_16", format="WAV")
    return stream.getvalue()


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = _FILE_MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, on every machine
            archive.writestr(entry, data)
    with zipfile.ZipFile(path) as archive:
        if {name: archive.read(name) for name in archive.namelist()} != dict(files):
            raise StorageError(f"{path} was written but reads back differently; check the disk")
