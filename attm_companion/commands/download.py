"""Fetch one file over a bad line: resume, verify, and only then put it in place."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from attm_core.assets import Asset, AssetFile, asset_folder, check_url, file_state
from attm_core.errors import AssetError
from attm_core.files import try_lock

TOKEN_VARIABLE = "HF_TOKEN"  # read only for assets whose publisher asks for an account
MAX_REDIRECTS = 5
SPARE_BYTES = 1 << 28

Report = Callable[[str], None]


@dataclass(frozen=True)
class Line:
    """Patience with the other side.

    Attributes:
        stall_s: seconds without a byte before an attempt is given up.
        attempts: attempts in all; each resumes where the last one stopped.
        limit_s: seconds a file may take in one attempt; the next run resumes.
    """

    stall_s: float = 30.0
    attempts: int = 4
    limit_s: float = 12 * 3600.0


class _TransferError(Exception):
    """An attempt that may be repeated."""


def fetch(
    asset: Asset, folder: Path | None = None, line: Line | None = None, report: Report = print
) -> list[Path]:
    """Fetch what is missing of an asset; files already verified are left alone.

    Args:
        asset: what to fetch.
        folder: where to; the asset's own folder if None.
        line: patience.
        report: told in words what happens.

    Returns:
        Paths of all its files.

    Raises:
        AssetError: nothing to fetch from, consent missing, no space, transfer or digest failed.
    """
    if not asset.files:
        raise AssetError(
            f"{asset.name} cannot be fetched by itself: {asset.note or asset.homepage}"
        )
    root = folder or asset_folder(asset.name)
    token = _token(asset)
    report(f"{asset.name}: {asset.role}. Licence: {asset.licence}. {asset.note}".rstrip())
    with httpx.Client(headers=token, timeout=(line or Line()).stall_s) as client:
        return [
            fetch_file(file, root / file.path, client, line or Line(), report)
            for file in asset.files
        ]


def _token(asset: Asset) -> dict[str, str]:
    if not asset.gated:
        return {}
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise AssetError(
            f"{asset.name} is gated: accept its terms ({asset.licence}) at {asset.homepage}, then "
            f"give your access token in {TOKEN_VARIABLE}"
        )
    return {"Authorization": f"Bearer {token}"}


def fetch_file(
    file: AssetFile, path: Path, client: httpx.Client, line: Line, report: Report = print
) -> Path:
    """Fetch one file to ``path`` unless it is there already.

    Raises:
        AssetError: the transfer failed ``line.attempts`` times, or what came is not the file.
    """
    state = file_state(file, path)
    if state in ("verified", "unverified"):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_space(file, path.parent)
    part = path.with_name(f".{path.name}.part")
    with _only_one(part):
        _transfer(file, part, client, line, report)
        _put_in_place(file, part, path)
    report(f"{path.name}: {file_state(file, path)}")
    return path


def _check_space(file: AssetFile, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if file.size is not None and free < file.size + SPARE_BYTES:
        raise AssetError(f"{folder} has {free / 2**30:.1f} GiB free, {file.path} needs more")


@contextmanager
def _only_one(part: Path) -> Iterator[None]:
    """Hold a lock on the partial file, so that two processes do not write into it at once.

    It must be a file of its own: what a link or a pipe in its place leads to is not ours to fill.
    """
    try:
        opened = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        raise AssetError(f"{part} is a link or cannot be written: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode) or os.fstat(opened).st_nlink > 1:
            raise AssetError(f"{part} is no plain file of its own; delete it")
        if not try_lock(opened, part):
            raise AssetError(f"another process is fetching {part.name}")
        yield
    finally:
        os.close(opened)


def _transfer(
    file: AssetFile, part: Path, client: httpx.Client, line: Line, report: Report
) -> None:
    problem = ""
    for attempt in range(1, line.attempts + 1):
        try:
            _attempt(file, part, client, time.monotonic() + line.limit_s)
            return
        except (_TransferError, httpx.TransportError) as error:
            problem = str(error) or type(error).__name__
            report(f"{file.path}: attempt {attempt} of {line.attempts}: {problem}")
    raise AssetError(f"{file.url} failed {line.attempts} times, last: {problem}")


def _attempt(file: AssetFile, part: Path, client: httpx.Client, deadline: float) -> None:
    """One request; appends to ``part`` if that can be checked in the end, else starts it again."""
    # Without a digest nobody could tell that the file has changed there since the first half came.
    have = part.stat().st_size if file.digests() else 0
    if file.size is not None and have == file.size > 0:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with _follow(client, file.url, headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.write_bytes(b"")
            raise _TransferError("the server refuses to resume; starting again")
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise AssetError(f"{file.url} is not open to you ({response.status_code}): licence?")
        if response.status_code == httpx.codes.NOT_FOUND:
            raise AssetError(f"{file.url} does not exist any more")
        if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            raise _TransferError(f"the server answered {response.status_code}")
        _write(file, part, response, _start(response, have), deadline)


def _start(response: httpx.Response, have: int) -> int:
    """Where the body begins; 0 if the server ignores the range."""
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return 0
    if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        raise _TransferError("the server resumed at another place")
    return have


def _write(
    file: AssetFile, part: Path, response: httpx.Response, start: int, deadline: float
) -> None:
    announced = response.headers.get("Content-Length")
    expected = start + int(announced) if announced else file.size
    with part.open("r+b") as stream:
        stream.truncate(start)
        stream.seek(start)
        for block in response.iter_raw():
            stream.write(block)
            if file.size is not None and stream.tell() > file.size:
                raise AssetError(f"{file.url} sends more than the {file.size} bytes it should have")
            if time.monotonic() > deadline:
                raise AssetError(f"{file.url} is too slow: {stream.tell()} bytes so far; try again")
        got = stream.tell()
    if expected is not None and got < expected:
        raise _TransferError(f"the line broke after {got} of {expected} bytes")


@contextmanager
def _follow(client: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """Follow redirects by hand: each address must be https, and a token stays with its host."""
    origin = httpx.URL(url).host
    for _ in range(MAX_REDIRECTS + 1):
        check_url(url)
        request = client.build_request("GET", url, headers=headers)
        if request.url.host != origin:
            request.headers.pop("Authorization", None)
        response = client.send(request, stream=True)
        try:
            if not response.has_redirect_location:
                yield response
                return
            url = str(request.url.join(response.headers["Location"]))
        finally:
            response.close()
    raise AssetError(f"more than {MAX_REDIRECTS} redirects from {origin}")


def _put_in_place(file: AssetFile, part: Path, path: Path) -> None:
    state = file_state(file, part)
    if state not in ("verified", "unverified"):
        size = part.stat().st_size
        part.unlink()
        raise AssetError(
            f"{file.url}: {state} ({size} bytes came); it was deleted, nothing was put in place"
        )
    os.replace(part, path)
