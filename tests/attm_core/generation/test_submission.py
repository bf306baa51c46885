import json
import zipfile
from pathlib import Path

import pytest
import torch

from attm_core.errors import InputError
from attm_core.generation.submission import (
    METADATA,
    build_submission,
    read_clip,
    verify_submission,
)

RECORD = {"seed": 42, "s": 5.0, "w": 4.0}


def clips() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    names = ("12", "07", "a-b_c.1")
    return {name: 0.5 * torch.rand(1, 441, generator=generator) - 0.25 for name in names}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return build_submission(tmp_path / "sub1.zip", clips(), 44100, RECORD)


def rewrite(path: Path, change: dict[str, bytes | None]) -> Path:
    """Copy an archive with some entries replaced, added or (None) left out."""
    target = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in dict.fromkeys([*old.namelist(), *change]):
            data = change.get(name, old.read(name) if name in old.namelist() else None)
            if data is not None:
                new.writestr(name, data)
    return target


def test_round_trip(archive: Path) -> None:
    summary = verify_submission(archive, ["07", "12", "a-b_c.1"])
    assert summary.ids == ("07", "12", "a-b_c.1")
    assert summary.record == RECORD
    assert summary.describe() == "3 clips at 44100 Hz, 0.010 to 0.010 s"
    wave, rate = read_clip(archive, "12")
    assert rate == 44100
    torch.testing.assert_close(wave, clips()["12"], atol=1 / 32768, rtol=0)


def test_same_clips_same_bytes(archive: Path, tmp_path: Path) -> None:
    backwards = dict(reversed(clips().items()))
    again = build_submission(tmp_path / "again.zip", backwards, 44100, RECORD)
    assert again.read_bytes() == archive.read_bytes()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({}, "at least one clip"),
        ({"../x": torch.zeros(1, 9)}, "no usable prompt id"),
        ({"a/b": torch.zeros(1, 9)}, "no usable prompt id"),
        ({"x": torch.zeros(2, 9)}, "submissions are mono"),
        ({"x": torch.full((1, 9), 1.5)}, "would clip"),
        ({"x": torch.full((1, 9), torch.nan)}, "NaN"),
        ({"x": torch.zeros(1, 0)}, "no samples"),
    ],
)
def test_bad_clips_write_nothing(tmp_path: Path, bad: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_submission(tmp_path / "bad.zip", bad, 44100, RECORD)
    assert list(tmp_path.iterdir()) == []


def test_bad_record_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written as JSON"):
        build_submission(tmp_path / "bad.zip", clips(), 44100, {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"../evil.wav": b"x"}, "not a plain file name"),
        ({"/etc/passwd": b"x"}, "not a plain file name"),
        ({"..\\evil.wav": b"x"}, "not a plain file name"),
        ({"extra.wav": b"x"}, "disagree about"),
        ({"12.wav": None}, "disagree about"),
        ({"12.wav": b"x"}, "does not match its hash"),
        ({METADATA: None}, "missing or malformed"),
        ({METADATA: b"{"}, "missing or malformed"),
        ({METADATA: b"[]"}, "missing or malformed"),
        ({METADATA: json.dumps({"format_version": 9}).encode()}, "malformed"),
    ],
)
def test_altered_archives_are_refused(
    archive: Path, change: dict[str, bytes | None], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        verify_submission(rewrite(archive, change))


def test_clip_at_another_rate_is_refused(archive: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        metadata = json.loads(zipped.read(METADATA))
    metadata["sample_rate_hz"] = 48000
    changed = rewrite(archive, {METADATA: json.dumps(metadata).encode()})
    with pytest.raises(InputError, match="expected"):
        verify_submission(changed)


def test_other_prompts_than_expected(archive: Path) -> None:
    with pytest.raises(InputError, match=r"missing or unexpected prompts \['13'\]"):
        verify_submission(archive, ["07", "12", "13", "a-b_c.1"])


def test_what_is_no_archive(tmp_path: Path, archive: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        verify_submission(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(InputError, match="not a readable zip"):
        verify_submission(tmp_path / "text.zip")
    archive.write_bytes(archive.read_bytes()[:-60])
    with pytest.raises(InputError, match="not a readable zip"):
        verify_submission(archive)
    with pytest.raises(InputError, match="no readable clip"):
        read_clip(tmp_path / "none.zip", "1")
