"""Fetch the files of an asset: whole, and compared with their digests before they are in place."""

import os
import shutil
import time
from pathlib import Path

import httpx

from attm_companion.assets import Asset, AssetFile, check_url, file_state
from attm_core.assets import asset_folder
from attm_core.errors import AssetError
from attm_core.files import file_lock, write_atomic

TOKEN_VARIABLE = "HF_TOKEN"  # read only for assets whose publisher asks for an account
MAX_REDIRECTS = 5
SPARE_BYTES = 1 << 28
ATTEMPTS = 4  # each starts over: nobody could tell whether a file has changed there meanwhile
STALL_S = 30.0  # without a byte, before an attempt is given up
LIMIT_S = 12 * 3600.0  # for one file in one attempt
HERE = ("verified", "unverified")


def fetch(asset: Asset, folder: Path | None = None) -> list[Path]:
    """Fetch what is missing of an asset into ``folder``, or its own; the paths of all its files.

    Raises:
        AssetError: nothing to fetch from, consent missing, no space, transfer or digest failed, or
            another process is at it.
    """
    if not asset.files:
        raise AssetError(
            f"{asset.name} cannot be fetched by itself: {asset.note or asset.homepage}"
        )
    headers = {"Accept-Encoding": "identity", **_token(asset)}  # httpx keeps tokens to their host
    root = folder or asset_folder(asset.name)
    print(f"{asset.name}: {asset.role}. Licence: {asset.licence}. {asset.note}".rstrip())
    client = httpx.Client(
        headers=headers,
        timeout=STALL_S,
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
        event_hooks={"request": [lambda request: check_url(str(request.url))]},  # of redirects, too
    )
    with file_lock(root / ".lock") as ours, client:
        if not ours:
            raise AssetError(f"another process is fetching {asset.name} into {root}")
        return [_fetch_file(file, root / file.path, client) for file in asset.files]


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


def _fetch_file(file: AssetFile, path: Path, client: httpx.Client) -> Path:
    if file_state(file, path) in HERE:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if file.size is not None and free < file.size + SPARE_BYTES:
        raise AssetError(f"{path.parent} has {free / 2**30:.1f} GiB free, {file.path} needs more")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            write_atomic(path, lambda part: _download(file, part, client))
            print(f"{path.name}: {'verified' if file.digests() else 'unverified'}")
            return path
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            problem = str(error).partition("\n")[0] or type(error).__name__
            print(f"{file.path}: attempt {attempt} of {ATTEMPTS}: {problem}")
        except httpx.TooManyRedirects as error:
            raise AssetError(f"{file.url}: more than {MAX_REDIRECTS} redirects") from error
    raise AssetError(f"{file.url} failed {ATTEMPTS} times, last: {problem}")


def _download(file: AssetFile, part: Path, client: httpx.Client) -> None:
    """One attempt, into a new file: a link in its place would not be followed."""
    deadline = time.monotonic() + LIMIT_S
    part.unlink(missing_ok=True)
    with client.stream("GET", file.url) as response, part.open("xb") as stream:
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise AssetError(f"{file.url} is not open to you ({response.status_code}): licence?")
        if response.status_code == httpx.codes.NOT_FOUND:
            raise AssetError(f"{file.url} does not exist any more")
        response.raise_for_status()
        for block in response.iter_raw():
            stream.write(block)
            if file.size is not None and stream.tell() > file.size:
                raise AssetError(f"{file.url} sends more than the {file.size} bytes it should have")
            if time.monotonic() > deadline:
                raise AssetError(f"{file.url} is too slow: {stream.tell()} bytes so far; try again")
    state = file_state(file, part)
    if state not in HERE:
        came = part.stat().st_size
        raise AssetError(f"{file.url}: {state} ({came} bytes came); nothing was put in place")
