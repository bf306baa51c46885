import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from attm_companion.assets import Asset, AssetFile, file_state
from attm_companion.commands import download
from attm_companion.commands.download import fetch
from attm_core.errors import AssetError
from attm_core.files import file_lock

BODY = bytes(range(256)) * 512
SHA256 = hashlib.sha256(BODY).hexdigest()


class Answers(BaseHTTPRequestHandler):
    """Serves BODY in the way that ``mode`` of its server says."""

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        self.server.log.append((self.path, self.headers.get("Authorization", "")))
        MODES[self.server.mode](self)

    def answer(self, body, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def send_elsewhere(self, place):
        self.send_response(302)
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def drip(self):
        self.answer(b"", len(BODY))
        for place in range(0, len(BODY), 100):
            self.wfile.write(BODY[place : place + 100])
            if self.server.released.wait(0.02):
                return


MODES = {
    "good": lambda it: it.answer(BODY),
    "truncates": lambda it: it.answer(BODY[:50_000], len(BODY)),
    "recovers": lambda it: it.answer(BODY if len(it.server.log) > 2 else BODY[:9], len(BODY)),
    "busy": lambda it: it.send_error(503),
    "corrupts": lambda it: it.answer(bytes(len(BODY))),
    "floods": lambda it: it.answer(BODY + BODY),
    "stalls": lambda it: (it.answer(BODY[:10], len(BODY)), it.server.released.wait(5)),
    "drips": lambda it: it.drip(),
    "loops": lambda it: it.send_elsewhere(it.path),
    "escapes": lambda it: it.send_elsewhere("ftp://example.org/file"),
    "missing": lambda it: it.send_error(404),
    "forbids": lambda it: it.send_error(403),
    "elsewhere": lambda it: (
        it.answer(BODY)
        if it.path == "/end"
        else it.send_elsewhere(f"http://localhost:{it.server.server_port}/end")
    ),
}


@pytest.fixture
def server(monkeypatch):
    """On a free port of this machine; logs requests as (path, Authorization)."""
    for name, value in {"ATTEMPTS": 3, "STALL_S": 0.5}.items():
        monkeypatch.setattr(download, name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as httpd:
        httpd.mode, httpd.log, httpd.released = "good", [], threading.Event()
        httpd.url = f"http://127.0.0.1:{httpd.server_port}/file"
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield httpd
        httpd.released.set()
        httpd.shutdown()
    thread.join()


def asset_of(url, sha256=SHA256, **changes):
    file = AssetFile("deep/file.bin", url, len(BODY) if sha256 else None, sha256)
    return Asset("thing", "a test", "MIT", "https://example.org", (file,), **changes)


def test_a_good_file_is_put_in_place_once(server, tmp_path, capsys):
    (path,) = fetch(asset_of(server.url), tmp_path)
    assert path.read_bytes() == BODY
    assert list(path.parent.iterdir()) == [path]
    fetch(asset_of(server.url), tmp_path)
    assert len(server.log) == 1
    said = capsys.readouterr().out
    assert "Licence: MIT" in said
    assert "file.bin: verified" in said


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_a_broken_transfer_starts_over(server, tmp_path, sha256):
    server.mode = "recovers"
    (path,) = fetch(asset_of(server.url, sha256), tmp_path)
    assert path.read_bytes() == BODY
    assert len(server.log) == 3


@pytest.mark.parametrize(
    "plant", [Path.symlink_to, Path.hardlink_to, lambda part, victim: os.mkfifo(part)]
)
def test_what_lies_in_the_place_of_a_part_is_not_written_to(server, tmp_path, plant):
    name = f"deep/.file.{os.uname().nodename}-{os.getpid()}.part.bin"
    part, victim = tmp_path / name, tmp_path / "victim"
    part.parent.mkdir()
    victim.write_text("mine")
    plant(part, victim)
    (path,) = fetch(asset_of(server.url), tmp_path)
    assert (path.read_bytes(), victim.read_text()) == (BODY, "mine")
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("truncates", "failed 3 times, last: peer closed connection"),
        ("busy", "failed 3 times, last: Server error '503"),
        ("corrupts", "wrong digest"),
        ("floods", "more than the 131072 bytes"),
        ("stalls", "failed 3 times, last: timed out"),
        ("drips", "too slow"),
        ("loops", "more than 5 redirects"),
        ("escapes", "ftp://example.org/file is not an https address"),
        ("missing", "does not exist any more"),
        ("forbids", "is not open to you"),
    ],
)
def test_bad_servers_leave_nothing_and_a_next_run_succeeds(
    server, tmp_path, monkeypatch, mode, message
):
    server.mode = mode
    with monkeypatch.context() as patch, pytest.raises(AssetError, match=message):
        patch.setattr(download, "LIMIT_S", 0.1 if mode == "drips" else 60.0)
        fetch(asset_of(server.url), tmp_path)
    assert not list((tmp_path / "deep").iterdir())
    server.mode = "good"
    (path,) = fetch(asset_of(server.url), tmp_path)
    assert file_state(asset_of(server.url).files[0], path) == "verified"


def test_a_token_needs_consent_and_stays_with_its_host(server, tmp_path, monkeypatch):
    with pytest.raises(AssetError, match="accept its terms"):
        fetch(asset_of(server.url, gated=True), tmp_path)
    assert server.log == []
    monkeypatch.setenv("HF_TOKEN", "secret")
    server.mode = "elsewhere"
    fetch(asset_of(server.url, gated=True), tmp_path)
    assert server.log == [("/file", "Bearer secret"), ("/end", "")]
    fetch(asset_of(server.url), tmp_path / "open")
    assert server.log[2] == ("/file", "")


def test_two_fetches_do_not_meet_and_without_files_it_says_where_to_go(server, tmp_path):
    asset = Asset("by-hand", "audio", "CC", "https://example.org/page", note="Use its downloader.")
    with pytest.raises(AssetError, match="Use its downloader"):
        fetch(asset, tmp_path)
    with file_lock(tmp_path / ".lock"), pytest.raises(AssetError, match="another process"):
        fetch(asset_of(server.url), tmp_path)
