"""Where the public artefacts lie and what each of their files holds.

The folder has the layout of the authors' repositories: ``ttm-humanpref/`` (prompts, scores, audio)
and ``tunejury/`` (calibration, score tables, splits). Any subset of the clips will do.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from attm_core.errors import AssetError, InputError
from attm_core.files import read_json

RELEASED_VARIABLE = "ATTM_RELEASED_DIR"
SYSTEMS = ("baseline", "sub1", "sub2")
METRICS = ("clap", "reward")
AUDIO_SUFFIXES = (".flac", ".wav")


@dataclass(frozen=True, order=True)
class Clip:
    """One public clip: which system made it, for which prompt, and where it lies."""

    system: str
    prompt_id: int
    path: Path


@dataclass(frozen=True)
class Release:
    """The public artefacts in one folder; what reads a file that is absent raises AssetError."""

    folder: Path  # holds ``ttm-humanpref/`` and ``tunejury/``

    def __post_init__(self) -> None:
        if not (self.folder / "ttm-humanpref").is_dir():
            raise AssetError(
                f"{self.folder} holds no ttm-humanpref/: run `attm assets fetch released` or point "
                f"{RELEASED_VARIABLE} at the folder"
            )

    def path(self, name: str) -> Path:
        """Path of a file inside the folder."""
        path = self.folder / name
        if not path.is_file():
            raise AssetError(f"{name} is missing from the public release in {self.folder}")
        return path

    def prompts(self) -> dict[int, str]:
        """The 100 prompts by id."""
        return {int(row["id"]): row["prompt"] for row in self.json("ttm-humanpref/prompts.json")}

    def scores(self, metric: str) -> pd.DataFrame:
        """``"clap"`` or ``"reward"``: a row a prompt id, a column a system; else ``InputError``."""
        tree = self.json(f"ttm-humanpref/{metric}_scores.json")
        table = pd.DataFrame.from_dict(tree, orient="index")
        table.index = table.index.astype(int)
        if set(table.columns) != set(SYSTEMS) or table.isna().any(axis=None):
            raise InputError(f"{metric}_scores.json must give {', '.join(SYSTEMS)} for each prompt")
        return table.sort_index()[list(SYSTEMS)]

    def clips(self) -> list[Clip]:
        """The clips that are here, by system and prompt; of two files of one, the WAV."""
        found = {
            (system, int(path.stem)): path
            for system in SYSTEMS
            for path in sorted((self.folder / "ttm-humanpref" / "audio" / system).glob("*"))
            if path.suffix in AUDIO_SUFFIXES and path.stem.isdigit()
        }
        return sorted(Clip(*key, path) for key, path in found.items())

    def table(self, name: str) -> pd.DataFrame:
        """A CSV file of the ranker's release."""
        return pd.read_csv(self.path(f"tunejury/{name}.csv"))

    def json(self, name: str) -> Any:
        """A JSON file."""
        return read_json(self.path(name))


def find_release(folder: Path | None = None) -> Release | None:
    """The release in ``folder``, else where ``ATTM_RELEASED_DIR`` points, else None.

    Raises:
        AssetError: a folder is named but holds no release.
    """
    named = folder or os.environ.get(RELEASED_VARIABLE)
    return Release(Path(named)) if named else None
