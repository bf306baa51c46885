import hashlib
import io
import json
import zipfile

import pytest
import soundfile
import torch

from attm_core.errors import InputError, StorageError
from attm_core.generation.submission import check_ids, write_submission

RATE = 16_000
RECORD = {"seed": 42, "s": 5.0}


def sine(n: int = 1000) -> torch.Tensor:
    return 0.1 * torch.sin(torch.arange(n) / 10)[None]


def test_the_archive_holds_16_bit_mono_audio_and_its_record(tmp_path):
    clips = {"b": sine(), "a": 0.5 * sine(1200)}
    path = write_submission(tmp_path / "x.zip", clips, RATE, RECORD)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.wav", "b.wav", "metadata.json"]
        metadata = json.loads(archive.read("metadata.json"))
        assert (metadata["record"], metadata["sample_rate_hz"]) == (RECORD, RATE)
        for listed in metadata["clips"]:
            data = archive.read(f"{listed['id']}.wav")
            assert hashlib.sha256(data).hexdigest() == listed["sha256"]
            info = soundfile.info(io.BytesIO(data))
            found = (info.subtype, info.channels, info.samplerate, info.frames)
            assert found == ("PCM_16", 1, RATE, listed["n_samples"])
            wave, _ = soundfile.read(io.BytesIO(data), dtype="float32")
            assert torch.allclose(torch.from_numpy(wave), clips[listed["id"]][0], atol=1e-4)
    assert [item.name for item in tmp_path.iterdir()] == ["x.zip"]
    again = write_submission(tmp_path / "y.zip", dict(reversed(clips.items())), RATE, RECORD)
    assert again.read_bytes() == path.read_bytes(), "in any order"


@pytest.mark.parametrize(
    "names",
    [["a..b"], ["a."], [".a"],
     ["-a"], ["a b"], ["é"], [""], ["../up"], ["a/b"], ["x" * 101], ["a\n"],
     ["a", "A"], ["Clip.1", "clip.1"]],
)  # fmt: skip
def test_unusable_ids_are_refused(tmp_path, names):
    check_ids(["a", "7.b_c-d", "x" * 100, "0", "a.b.c"])
    with pytest.raises(InputError, match=r"usable prompt id|differ in case"):
        check_ids(names)
    with pytest.raises(InputError):
        write_submission(tmp_path / "x.zip", dict.fromkeys(names, sine()), RATE, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("clips", "record", "said"),
    [
        ({}, RECORD, "at least one clip"),
        ({"a": sine().expand(2, -1)}, RECORD, "has 2 channels"),
        ({"a": 20 * sine()}, RECORD, "would clip"),
        ({"a": sine() * torch.nan}, RECORD, "NaN"),
        ({"a": sine()[:, :0]}, RECORD, "no samples"),
        ({"a": sine()}, {"w": float("inf")}, "written as JSON"),
        ({"a": sine()}, {"path": object()}, "written as JSON"),
    ],
)
def test_bad_clips_and_records_write_nothing(tmp_path, clips, record, said):
    with pytest.raises(InputError, match=said):
        write_submission(tmp_path / "x.zip", clips, RATE, record)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_gives_other_bytes_back_is_noticed(tmp_path, monkeypatch):
    read = zipfile.ZipFile.read
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *given: read(*given)[:-1] + b"?")
    with pytest.raises(StorageError, match="reads back differently"):
        write_submission(tmp_path / "x.zip", {"a": sine()}, RATE, RECORD)
    assert not list(tmp_path.iterdir())
