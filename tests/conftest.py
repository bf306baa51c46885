"""What tests of several packages share: where the authors' public artefacts are, if they are."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def released_dir() -> Path:
    """The folder of the authors' public artefacts; tests that need it skip where it is absent."""
    default = REPOSITORY.parent / "shared" / "released"
    folder = Path(os.environ.get("ATTM_RELEASED_DIR", default))
    if not folder.is_dir():
        pytest.skip(
            "the authors' public artefacts are absent; set ATTM_RELEASED_DIR to their folder"
        )
    return folder
