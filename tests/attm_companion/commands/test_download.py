import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from attm_companion.commands.download import Line, fetch
from attm_core.assets import Asset, AssetFile, file_state
from attm_core.errors import AssetError

BODY = bytes(range(256)) * 512
SHA256 = hashlib.sha256(BODY).hexdigest()
QUICK = Line(stall_s=0.5, attempts=3)


@dataclass
class Behaviour:
    """What the server does; requests are logged as (path, Range, Authorization)."""

    mode: str = "good"
    log: list[tuple[str, str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


class Answers(BaseHTTPRequestHandler):
    """Serves BODY in the way that ``behaviour`` of its server says: one method a mode."""

    @property
    def behaviour(self) -> Behaviour:
        return self.server.behaviour

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.behaviour.log.append((self.path, wanted, self.headers.get("Authorization", "")))
        getattr(self, self.behaviour.mode)(int(wanted[6:-1]) if wanted else 0)

    def answer(self, start: int, body: bytes, length: int | None = None) -> None:
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def send_elsewhere(self, place: str) -> None:
        self.send_response(302)
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def good(self, start: int) -> None:
        self.answer(start, BODY[start:])

    def truncates(self, start: int) -> None:
        self.answer(start, BODY[start : start + 50_000], len(BODY) - start)
        self.close_connection = True

    def ignores_range(self, start: int) -> None:
        cut = 50_000 if not start and len(self.behaviour.log) == 1 else len(BODY)
        self.answer(0, BODY[:cut], len(BODY))
        self.close_connection = True

    def corrupts(self, start: int) -> None:
        self.answer(start, b"\0" * (len(BODY) - start))

    def floods(self, start: int) -> None:
        self.answer(start, BODY + BODY)

    def stalls(self, start: int) -> None:
        self.answer(start, BODY[start : start + 10], len(BODY) - start)
        self.wfile.flush()
        self.behaviour.released.wait(5)

    def redirects(self, start: int) -> None:
        self.good(start) if self.path == "/end" else self.send_elsewhere("/end")

    def loops(self, _: int) -> None:
        self.send_elsewhere(self.path)

    def escapes(self, _: int) -> None:
        self.send_elsewhere("ftp://example.org/file")

    def drips(self, start: int) -> None:
        self.answer(start, b"", len(BODY) - start)
        for place in range(start, len(BODY), 100):
            self.wfile.write(BODY[place : place + 100])
            self.wfile.flush()
            if self.behaviour.released.wait(0.02):
                return

    def missing(self, _: int) -> None:
        self.send_error(404)

    def forbids(self, _: int) -> None:
        self.send_error(403)

    def refuses_range(self, start: int) -> None:
        self.send_error(416) if start else self.good(0)


class Server(ThreadingHTTPServer):
    """On a free port of this machine; requests are answered as ``behaviour`` says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.behaviour = Behaviour()


@pytest.fixture
def server() -> Iterator[tuple[str, Behaviour]]:
    httpd = Server()
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}/file", httpd.behaviour
    httpd.behaviour.released.set()
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def asset_of(url: str, sha256: str | None = SHA256, **changes: object) -> Asset:
    file = AssetFile("deep/file.bin", url, len(BODY) if sha256 else None, sha256)
    return Asset("thing", "a test", "MIT", "https://example.org", (file,), **changes)


def test_good_file_is_put_in_place_once(server, tmp_path: Path, capsys: pytest.CaptureFixture):
    url, behaviour = server
    (path,) = fetch(asset_of(url), tmp_path, QUICK)
    assert path.read_bytes() == BODY
    assert list(path.parent.iterdir()) == [path]
    fetch(asset_of(url), tmp_path, QUICK)
    assert len(behaviour.log) == 1
    assert "Licence: MIT" in capsys.readouterr().out


def test_truncated_transfer_resumes_where_it_stopped(server, tmp_path: Path):
    url, behaviour = server
    behaviour.mode = "truncates"
    (path,) = fetch(asset_of(url), tmp_path, QUICK, lambda _: None)
    assert path.read_bytes() == BODY
    assert [log[1] for log in behaviour.log] == ["", "bytes=50000-", "bytes=100000-"]


def test_a_later_run_resumes_the_part_of_an_earlier_one(server, tmp_path: Path):
    url, behaviour = server
    behaviour.mode = "truncates"
    with pytest.raises(AssetError, match=r"failed 1 times"):
        fetch(asset_of(url), tmp_path, Line(0.5, 1), lambda _: None)
    assert not (tmp_path / "deep/file.bin").exists()
    behaviour.mode = "good"
    (path,) = fetch(asset_of(url), tmp_path, QUICK, lambda _: None)
    assert behaviour.log[-1][1] == "bytes=50000-"
    assert path.read_bytes() == BODY


def test_a_file_that_nobody_can_check_is_never_pieced_together(server, tmp_path: Path):
    url, behaviour = server
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/.file.bin.part").write_bytes(b"of an older file")
    (path,) = fetch(asset_of(url, sha256=None), tmp_path, QUICK, lambda _: None)
    assert path.read_bytes() == BODY
    assert behaviour.log[-1][1] == ""


def test_a_slow_drip_has_an_end(server, tmp_path: Path):
    url, behaviour = server
    behaviour.mode = "drips"
    with pytest.raises(AssetError, match="too slow"):
        fetch(asset_of(url), tmp_path, Line(0.5, 1, limit_s=0.1), lambda _: None)


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "pipe", "folder"])
def test_what_lies_in_the_place_of_a_part_is_not_followed(server, tmp_path: Path, kind: str):
    url, _ = server
    part, victim = tmp_path / "deep/.file.bin.part", tmp_path / "victim"
    part.parent.mkdir()
    victim.write_text("mine")
    plant = {
        "symbolic link": lambda: part.symlink_to(victim),
        "hard link": lambda: part.hardlink_to(victim),
        "pipe": lambda: os.mkfifo(part),
        "folder": part.mkdir,
    }
    plant[kind]()
    with pytest.raises(AssetError, match=r"is a link or|no plain file"):
        fetch(asset_of(url), tmp_path, QUICK, lambda _: None)
    assert victim.read_text() == "mine"


def test_server_that_ignores_ranges_is_read_from_the_start(server, tmp_path: Path):
    url, behaviour = server
    behaviour.mode = "ignores_range"
    (path,) = fetch(asset_of(url), tmp_path, QUICK, lambda _: None)
    assert path.read_bytes() == BODY


def test_refused_range_starts_again(server, tmp_path: Path):
    url, behaviour = server
    behaviour.mode = "refuses_range"
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/.file.bin.part").write_bytes(BODY[:100])
    (path,) = fetch(asset_of(url), tmp_path, QUICK, lambda _: None)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("corrupts", "wrong digest"),
        ("floods", "more than the 131072 bytes"),
        ("stalls", "failed 3 times"),
        ("loops", "more than 5 redirects"),
        ("escapes", "ftp://example.org/file is not an https address"),
        ("missing", "does not exist any more"),
        ("forbids", "is not open to you"),
    ],
)
def test_bad_servers_leave_nothing_in_place(server, tmp_path: Path, mode: str, message: str):
    url, behaviour = server
    behaviour.mode = mode
    with pytest.raises(AssetError, match=message):
        fetch(asset_of(url), tmp_path, QUICK, lambda _: None)
    assert not (tmp_path / "deep/file.bin").exists()


def test_corrupt_part_is_deleted_so_that_the_next_run_can_succeed(server, tmp_path: Path):
    url, behaviour = server
    behaviour.mode = "corrupts"
    with pytest.raises(AssetError, match="wrong digest"):
        fetch(asset_of(url), tmp_path, QUICK, lambda _: None)
    behaviour.mode = "good"
    (path,) = fetch(asset_of(url), tmp_path, QUICK, lambda _: None)
    assert file_state(asset_of(url).files[0], path) == "verified"


def test_redirects_are_followed(server, tmp_path: Path):
    url, behaviour = server
    behaviour.mode = "redirects"
    (path,) = fetch(asset_of(url), tmp_path, QUICK, lambda _: None)
    assert path.read_bytes() == BODY
    assert [log[0] for log in behaviour.log] == ["/file", "/end"]


def test_gated_asset_needs_consent_and_sends_its_token(server, tmp_path: Path, monkeypatch):
    url, behaviour = server
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(AssetError, match="accept its terms"):
        fetch(asset_of(url, gated=True), tmp_path, QUICK, lambda _: None)
    assert behaviour.log == []
    monkeypatch.setenv("HF_TOKEN", "secret")
    fetch(asset_of(url, gated=True), tmp_path, QUICK, lambda _: None)
    assert behaviour.log[0][2] == "Bearer secret"


def test_token_is_not_sent_where_it_is_not_needed(server, tmp_path: Path, monkeypatch):
    url, behaviour = server
    monkeypatch.setenv("HF_TOKEN", "secret")
    fetch(asset_of(url), tmp_path, QUICK, lambda _: None)
    assert behaviour.log[0][2] == ""


def test_asset_without_files_says_where_to_go(tmp_path: Path):
    asset = Asset("by-hand", "audio", "CC", "https://example.org/page", note="Use its downloader.")
    with pytest.raises(AssetError, match="Use its downloader"):
        fetch(asset, tmp_path, QUICK)


def test_two_fetches_of_one_file_do_not_meet(server, tmp_path: Path):
    import fcntl

    url, _ = server
    (tmp_path / "deep").mkdir()
    with (tmp_path / "deep/.file.bin.part").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(AssetError, match="another process"):
            fetch(asset_of(url), tmp_path, QUICK, lambda _: None)
