"""Where sources, executed notebooks and the built book are, for one profile."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from attm_companion.study.result_files import results_folder
from attm_core.errors import ConfigError

STATIC_VARIABLE = "ATTM_STATIC_DIR"

PACKAGES = ("attm_core", "attm_companion")


def project_root(start: Path | None = None) -> Path:
    """The nearest folder at or above ``start`` (default: here) that holds this project.

    Raises:
        ConfigError: neither ``start`` nor the installed package lies in a checkout.
    """
    here = Path(start or Path.cwd()).resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "_toc.yml").is_file() and (folder / "pyproject.toml").is_file():
            return folder
    raise ConfigError(f"{here} is not inside the project: run from a clone of the repository")


@dataclass(frozen=True)
class Layout:
    """Folders of one profile, all below ``root``."""

    root: Path
    profile: str

    @property
    def notebooks(self) -> Path:
        """Clean notebooks, as committed."""
        return self.root / "notebooks"

    @property
    def prose(self) -> Path:
        """MyST pages, bibliography and static files of the book."""
        return self.root / "book"

    @property
    def results(self) -> Path:
        """Result files of the profile."""
        return self.root / results_folder(self.profile)

    @property
    def executed(self) -> Path:
        """Executed notebooks of the profile; their audio lies in ``static`` beside them."""
        return self.root / "_build" / "notebooks" / self.profile

    @property
    def book_source(self) -> Path:
        """The staged input of Jupyter Book."""
        return self.root / "_build" / "book-src"

    @property
    def html(self) -> Path:
        """The built book."""
        return self.root / "_build" / "html"

    def notebook_sources(self) -> list[Path]:
        """Clean notebooks in alphabetical order."""
        return sorted(self.notebooks.glob("*.ipynb"))

    def executed_notebooks(self) -> list[Path]:
        """Where the executed copies of all notebooks belong, in the same order."""
        return [self.executed / source.name for source in self.notebook_sources()]


def static_folder() -> Path:
    """Where a running notebook leaves its audio, so that ``static/NAME`` resolves beside it.

    ``attm notebooks`` says so in an environment variable. A notebook opened in Jupyter runs in
    ``notebooks/``; papermill by hand runs in the root and is advised to write its output to
    ``_build/notebooks/by-hand/``.
    """
    if os.environ.get(STATIC_VARIABLE):
        return Path(os.environ[STATIC_VARIABLE])
    if Path.cwd() == project_root() / "notebooks":
        return Path.cwd() / "static"
    return project_root() / "_build" / "notebooks" / "by-hand" / "static"


def modules(root: Path) -> list[Path]:
    """All Python files of both packages, in order."""
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))


def tree_hash(root: Path, files: Iterable[Path]) -> str:
    """Hexadecimal SHA-256 over relative names and contents, independent of order."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def code_hash(root: Path) -> str:
    """Hash of everything in both packages and of the locked environment."""
    code = [
        path
        for package in PACKAGES
        for suffix in ("py", "yaml", "json")
        for path in (root / package).rglob(f"*.{suffix}")
    ]
    locks = [path for path in (root / "requirements.lock",) if path.exists()]
    return tree_hash(root, code + locks)
