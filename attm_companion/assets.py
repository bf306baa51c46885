"""Checkpoints and data sets of the paper: what they are, under which licence, and how to get them.

``assets.yaml`` is the manifest. A file counts as present only when its size and every digest that
its publisher states agree; it is written beside its place and renamed when whole, so an aborted or
corrupt transfer never looks like a checkpoint; the next attempt starts over.
"""

import fnmatch
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

from attm_core.assets import asset_folder
from attm_core.errors import AssetError

MANIFEST_FILE = Path(__file__).with_name("assets.yaml")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
HEX_PATTERN = re.compile(r"^[0-9a-f]*\*?[0-9a-f]*$")
DIGEST_LENGTH = {"sha256": 64, "md5": 32, "git_blob": 40}

State = Literal["verified", "unverified", "absent", "wrong size", "wrong digest"]


@dataclass(frozen=True)
class AssetFile:
    """One file of an asset."""

    path: str  # where it belongs below the asset's folder; relative, no ``..``
    url: str  # where it comes from; https, or a loopback address
    size: int | None = None  # bytes, None where the publisher does not say
    sha256: str | None = None  # hexadecimal; ``*`` for digits that the publisher leaves out
    md5: str | None = None  # the same for MD5, for publishers who state only that
    git_blob: str | None = None  # git's name of the content, of files pinned by a commit

    def __post_init__(self) -> None:
        _check_path(self.path)
        check_url(self.url)
        for name, digest in self.digests().items():
            whole = len(digest) == DIGEST_LENGTH[name]
            if not HEX_PATTERN.match(digest) or not (whole or "*" in digest):
                raise AssetError(f"{self.path}: {digest!r} is not a {name} digest")
        if self.size is not None and self.size < 0:
            raise AssetError(f"{self.path}: a size of {self.size} bytes is impossible")

    def digests(self) -> dict[str, str]:
        """The digests that are known, by algorithm."""
        known = {"sha256": self.sha256, "md5": self.md5, "git_blob": self.git_blob}
        return {name: digest for name, digest in known.items() if digest}

    def is_at(self, path: Path) -> bool:
        """Whether a file of the right size is there, whatever is in it."""
        return path.is_file() and self.size in (None, path.stat().st_size)


@dataclass(frozen=True)
class Asset:
    """A checkpoint or data set."""

    name: str  # key in the manifest
    role: str  # what the project uses it for
    licence: str  # as stated by its publisher
    homepage: str  # where a person reads about it (and accepts its terms, if gated)
    files: tuple[AssetFile, ...] = ()  # what it consists of; empty if it must be obtained by hand
    gated: bool = False  # whether the publisher asks for an account and consent first
    note: str = ""  # anything a user should know before fetching
    revisions: Mapping[str, str] = field(default_factory=dict)  # repository → commit of the files

    @property
    def size(self) -> int:
        """Bytes of all files whose size is known."""
        return sum(file.size or 0 for file in self.files)

    @property
    def is_verifiable(self) -> bool:
        """Whether every file has a digest."""
        return bool(self.files) and all(file.digests() for file in self.files)


def _check_path(path: str) -> None:
    parts = PurePosixPath(path).parts
    unsafe = not parts or path.startswith(("/", "~")) or ".." in parts or "\\" in path
    if unsafe or ":" in parts[0] or "\0" in path:
        raise AssetError(
            f"asset path {path!r} would leave its folder; it must be relative, without .."
        )


def check_url(url: str) -> None:
    """Raise ``AssetError`` for what is not https, nor http on this machine."""
    parts = urlsplit(url)
    if not parts.hostname or (
        parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in LOOPBACK)
    ):
        raise AssetError(f"{url} is not an https address")


@cache
def load_manifest(path: Path = MANIFEST_FILE) -> dict[str, Asset]:
    """Read the manifest (once).

    Raises:
        AssetError: malformed, an unknown field, an unsafe path, or an address that is not https.
    """
    try:
        tree = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        return {name: _asset(name, node, Path(path).parent) for name, node in tree.items()}
    except (yaml.YAMLError, OSError, TypeError, KeyError, AttributeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise AssetError(f"manifest {path} is malformed: {said}") from error


def _asset(name: str, node: Mapping[str, Any], folder: Path) -> Asset:
    fields = dict(node)
    listing = fields.pop("listing", None)
    rows = [AssetFile(**row) for row in fields.pop("files", [])]
    _check_path(name)
    if listing:
        _check_path(listing)
        rows += _listed_files(folder / listing)
    return Asset(name, files=tuple(rows), **fields)


def _listed_files(path: Path) -> Iterator[AssetFile]:
    """Files of a listing: under each base address lines ``sha256 size path path-below-base``."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    for base, lines in tree.items():
        for line in lines.splitlines():
            sha256, size, local, remote = line.split()
            yield AssetFile(local, f"{base}/{remote}", int(size), sha256)


def find_asset(name: str) -> Asset:
    """The asset called ``name``; raises ``AssetError``, which lists what there is."""
    assets = load_manifest()
    if name not in assets:
        raise AssetError(f"no asset {name!r}; there are: {', '.join(assets)}")
    return assets[name]


def file_state(file: AssetFile, path: Path) -> State:
    """Whether ``path`` is the file the manifest means.

    ``"unverified"`` means that it is there and of the right size, but its publisher states no
    digest to compare with.
    """
    if not path.is_file():
        return "absent"
    if not file.is_at(path):
        return "wrong size"
    digests = file.digests()
    if not digests:
        return "unverified"
    matches = all(fnmatch.fnmatchcase(_digest(path, n), digest) for n, digest in digests.items())
    return "verified" if matches else "wrong digest"


def _digest(path: Path, algorithm: str) -> str:
    is_git = algorithm == "git_blob"
    begun = hashlib.new("sha1" if is_git else algorithm, usedforsecurity=False)
    begun.update(f"blob {path.stat().st_size}\0".encode() if is_git else b"")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: begun).hexdigest()


def verify(asset: Asset, folder: Path | None = None) -> dict[str, State]:
    """State of each file of an asset in its folder, by path."""
    root = folder or asset_folder(asset.name)
    return {file.path: file_state(file, root / file.path) for file in asset.files}


def absent_files(asset: Asset) -> list[str] | None:
    """Paths that are missing or have another size; None for what can only be put there by hand.

    Quick: digests are for `verify`. Of data sets that their publisher's own tools fetch, it is
    known only whether something is in their folder: then there is nothing absent.
    """
    folder = asset_folder(asset.name)
    if not asset.files:
        return [] if folder.is_dir() and any(folder.iterdir()) else None
    return [file.path for file in asset.files if not file.is_at(folder / file.path)]


def missing_assets(names: Iterable[str]) -> list[str]:
    """Those of some assets that are not here, or not whole; ``AssetError`` if unknown."""
    return [name for name in names if absent_files(find_asset(name)) != []]


def package_folder(name: str) -> Path:
    """Folder of an installed package that brings data, else ``AssetError``; not imported."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise AssetError(f"{name} is not installed; run `make environment`")
    return Path(spec.origin).parent
