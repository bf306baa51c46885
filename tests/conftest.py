"""Fixtures that several packages share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def released_dir() -> Path:
    """Folder of the authors' public artefacts; tests that need it are skipped without it."""
    folder = Path(os.environ.get("ATTM_RELEASED_DIR", ROOT.parent / "shared" / "released"))
    if not (folder / "ttm-humanpref").is_dir():
        pytest.skip(f"the public release is not at {folder}: `attm assets fetch released`")
    return folder
