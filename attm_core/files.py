"""Files that are either whole or absent: atomic writes, locks, hashes, JSON and safetensors."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attm_core.errors import CheckpointError, InputError, StorageError

if TYPE_CHECKING:
    from torch import Tensor

_FULL_BYTES = 1 << 20  # with less than this left, a write that failed did so for want of space
_LOCK_POLL_S = 0.1


def write_atomic(path: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary neighbour of ``path``, then rename it into place.

    The neighbour keeps the suffix of ``path`` (writers choose formats by it) and is removed if
    ``write`` raises, so a reader sees the old file, the new file, or none, never half of one. What
    a writer of ``path`` on this machine left that was killed is removed first.

    Raises:
        StorageError: ``write`` failed and the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    start, end = f".{path.stem}.{os.uname().nodename}-", f".part{path.suffix}"
    for other in path.parent.glob(".*"):
        owner = other.name.removeprefix(start).removesuffix(end)
        if other.name == f"{start}{owner}{end}" and owner.isdigit() and not is_running(int(owner)):
            other.unlink(missing_ok=True)
    part = path.with_name(f"{start}{os.getpid()}{end}")
    try:
        write(part)
        with part.open("rb") as whole:
            os.fsync(whole.fileno())  # or a power cut could leave the name without the content
        os.replace(part, path)
    except Exception as error:
        if shutil.disk_usage(path.parent).free < _FULL_BYTES:
            raise StorageError(f"{path} cannot be written: its disk is full") from error
        raise
    finally:
        part.unlink(missing_ok=True)
    return path


def is_running(process: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(process, 0)  # asks only
    except (OSError, OverflowError) as error:
        return isinstance(error, PermissionError)  # another user's
    return True


@contextmanager
def file_lock(path: Path, wait_s: float = 0.0) -> Iterator[bool]:
    """Hold an exclusive lock among processes, also of machines that share the file system.

    It ends with the process, however that ends; the file stays. Waits up to ``wait_s`` for another
    holder and yields whether the lock is ours.

    Raises:
        StorageError: the file system knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with path.open("ab") as file:
        while not (ours := _try_lock(file.fileno(), path)) and time.monotonic() < deadline:
            time.sleep(_LOCK_POLL_S)
        yield ours


def _try_lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the two ways to say "held by another"
        return False
    except OSError as error:
        raise StorageError(
            f"{path.parent} is on a file system without locks ({error.strerror}); put it on another"
        ) from error
    return True


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 text atomically."""
    return write_atomic(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> Path:
    """Write sorted, indented JSON atomically; NaN and infinities are refused."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing, unreadable, not JSON, or nested beyond all reason.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        value = json.loads(text)
        if "\\ud" in text.lower():  # the escape of half a character, which no UTF-8 can write
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, a number of 5000 digits
        raise InputError(f"{path} is not valid JSON: {error}") from error


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read block by block."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_once(path: Path) -> str:
    """Like `sha256_file`; a file that has not been touched since is not read again."""
    facts = path.stat()
    return _sha256_of(path, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


@lru_cache(maxsize=100_000)
def _sha256_of(path: Path, *state: int) -> str:
    return sha256_file(path)


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> Path:
    """Write tensors as safetensors, atomically; they are made contiguous and moved to the CPU.

    The same tensors and metadata give the same bytes.
    """
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    def write(part: Path) -> None:
        save_file(plain, part, metadata=dict(metadata or {}))
        _sort_metadata(part)

    return write_atomic(path, write)


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file in order: the library writes them in a random one."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        known = dict(sorted(header.pop("__metadata__", {}).items()))
        whole = {"__metadata__": known, **header}
        text = json.dumps(whole, separators=(",", ":"), ensure_ascii=False)
        content = text.encode().ljust(size)
        if len(content) == size:
            file.seek(8)
            file.write(content)


def load_tensors(path: Path, wanted: Callable[[str], bool] | None = None) -> dict[str, Tensor]:
    """Read a safetensors file, or those tensors whose name is ``wanted``; no code in it can run.

    Raises:
        CheckpointError: the file is missing, truncated or not safetensors.
    """
    with _open_tensors(path) as stream:
        names = [name for name in stream.keys() if wanted is None or wanted(name)]  # noqa: SIM118
        return {name: stream.get_tensor(name) for name in names}


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; its tensors are not read.

    Raises:
        CheckpointError: the file is missing, truncated or not safetensors.
    """
    with _open_tensors(path) as stream:
        return dict(stream.metadata() or {})


@contextmanager
def _open_tensors(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            yield stream
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist; fetch or train it first") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error}): corrupt, truncated or something "
            "else; fetch or train it again"
        ) from error
