"""Fixtures that several packages share."""

import os
from pathlib import Path

import pytest

from attm_core.precision import fast_dtype

ROOT = Path(__file__).resolve().parents[1]
# numba, inside librosa, compiles on first use and keeps what it compiled beside librosa; two
# workers that do so at once can each load what the other wrote, and crash.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
os.environ["NUMBA_CACHE_DIR"] = str(ROOT / ".pytest_cache" / "numba" / WORKER)


@pytest.fixture(scope="session")
def released_dir() -> Path:
    """Folder of the authors' public artefacts; tests that need it are skipped without it."""
    folder = Path(os.environ.get("ATTM_RELEASED_DIR", ROOT.parent / "shared" / "released"))
    if not (folder / "ttm-humanpref").is_dir():
        pytest.skip(f"the public release is not at {folder}: `attm assets fetch released`")
    return folder


@pytest.fixture
def processor(monkeypatch):
    """A function that pretends to be a processor with the given instructions."""

    def pretend(**found: bool) -> None:
        fast_dtype.cache_clear()
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda: found)

    yield pretend
    fast_dtype.cache_clear()
