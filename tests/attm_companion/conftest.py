import shutil

import pytest
import toy_stages


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    found = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine: scripts/browser installs it")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """No test of the study reads or writes a real cache or real results."""
    monkeypatch.setenv("ATTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ATTM_RESULTS", str(tmp_path / "results"))
    return tmp_path


@pytest.fixture
def toy_log(tmp_path, monkeypatch):
    """What toy stages ran so far, as (process, label), in order."""
    path = tmp_path / "log.txt"
    monkeypatch.setenv(toy_stages.LOG_VARIABLE, str(path))

    def read():
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(pid), label) for pid, _, label in (line.partition(" ") for line in lines)]

    return read
