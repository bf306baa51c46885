import io
import zipfile

import numpy as np
import pytest
import soundfile
import torch

from attm_core.data import song_describer
from attm_core.errors import AssetError, InputError

HEADER = (
    "caption_id,track_id,caption,is_valid_subset,familiarity,artist_id,album_id,path,duration\n"
)
ROWS = (
    '10,976785,"Techno, fast.",,0,421686,115108,85/976785.mp3,159.7\n'
    "2,981782,Sweet French song.,True,2,7805,115629,82/981782.mp3,170.1\n"
    "5,226,A guitar.,False,1,14,31,26/226.mp3,31.2\n"
    "7,981782,Soft voice and guitar.,False,2,7805,115629,82/981782.mp3,170.1\n"
)
RATE = 16_000


def write_csv(folder, text):
    path = folder / "song_describer.csv"
    path.write_text(text, encoding="utf-8")
    return path


def encoded(wave, kind="FLAC", rate=RATE):
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate, format=kind)
    return stream.getvalue()


def ramp(seconds):
    """A wave that rises from 0 to 1, with minus a half of it as second channel."""
    rise = np.arange(round(seconds * RATE)) / (seconds * RATE)
    return np.stack([rise, -0.5 * rise], axis=1)


def write_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_captions_are_read(tmp_path):
    table = song_describer.read_song_describer(write_csv(tmp_path, HEADER + ROWS))
    assert table["caption_id"].tolist() == ["2", "5", "7", "10"]
    assert table["track_id"].tolist() == ["981782", "226", "981782", "976785"]
    assert table["caption"].iloc[-1] == "Techno, fast."
    assert table["is_valid_subset"].fillna(False).tolist() == [True, False, False, False]
    assert table["is_valid_subset"].isna().tolist() == [False, False, False, True]
    assert table["duration_s"].tolist() == [170.1, 31.2, 170.1, 159.7]
    tracks = song_describer.reference_tracks(table, n_expected=3)  # every track once
    assert tracks["track_id"].tolist() == ["226", "976785", "981782"]
    assert tracks["caption"].tolist() == ["A guitar.", "Techno, fast.", "Sweet French song."]
    with pytest.raises(InputError, match="3 tracks instead of 706"):
        song_describer.reference_tracks(table)
    assert len(song_describer.reference_tracks(table, n_expected=None)) == 3


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is not a CSV file"),
        ("caption_id,track_id\n1,2\n", "lacks the columns caption, is_valid_subset"),
        (HEADER, "has no captions"),
        (HEADER + "1,226, ,True,1,14,31,26/226.mp3,31.2\n", "an empty caption"),
        (HEADER + "1,226,x,True,1,14,31,../226.mp3,31.2\n", "leads out"),
        (HEADER + ROWS + "10,226,x,True,1,14,31,26/226.mp3,31.2\n", "two captions of one"),
        (HEADER + "1,2,3,4,5,6,7,8,9,10,11\n" + "1,2\n1,2,3,4,5,6,7,8,9,1,1,1\n", "CSV"),
    ],
)
def test_malformed_captions_are_refused(tmp_path, text, match):
    with pytest.raises(InputError, match=match):
        song_describer.read_song_describer(write_csv(tmp_path, text))
    with pytest.raises(InputError, match="attm assets fetch song_describer"):
        song_describer.read_song_describer(tmp_path / "none.csv")


def test_the_middle_of_a_track_is_read_from_the_archive(tmp_path):
    files = {
        "audio/26/226.2min.flac": encoded(ramp(30.0)),
        "audio/85/976785.2min.flac": encoded(ramp(4.0)),
        "audio/26/._226.2min.flac": b"left by an archiver",
    }
    audio = song_describer.SongDescriberAudio(write_zip(tmp_path / "audio.zip", files))
    clips = audio.clips(["976785", "226"], RATE)
    assert clips.shape == (2, 10 * RATE)
    # 10 s to 20 s of 30 s; the mean of the channels is a quarter of the rise.
    expected = 0.25 * np.linspace(1 / 3, 2 / 3, 10 * RATE, endpoint=False)
    np.testing.assert_allclose(clips[1].numpy(), expected, atol=1e-4)
    # 4 s with 3 s of silence on either side
    assert clips[0, : 3 * RATE].abs().max() == clips[0, 7 * RATE :].abs().max() == 0
    np.testing.assert_allclose(clips[0, 5 * RATE], 0.125, atol=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["audio.zip"]


def test_the_centre_of_short_waves():
    wave = torch.tensor([[1.0, 2.0, 3.0]])
    assert song_describer.centre(wave, 1).tolist() == [[2.0]]
    assert song_describer.centre(wave, 2).tolist() == [[1.0, 2.0]]
    assert song_describer.centre(wave, 3).tolist() == wave.tolist()
    assert song_describer.centre(wave, 6).tolist() == [[0.0, 1.0, 2.0, 3.0, 0.0, 0.0]]


@pytest.mark.parametrize("name", ["../100.mp3", "audio/../../100.mp3", "/etc/100.mp3"])
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path, name):
    path = write_zip(tmp_path / "audio.zip", {name: b"x"})
    with pytest.raises(InputError, match="leads out"):
        song_describer.SongDescriberAudio(path)


def test_tracks_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", {"1/1.mp3": b"no music", "2/2.flac": encoded(ramp(1.0))})
    audio = song_describer.SongDescriberAudio(path)
    twice = write_zip(tmp_path / "twice.zip", {"a/100.2min.mp3": b"x", "b/100.2min.mp3": b"x"})
    with pytest.raises(InputError, match="holds track 100 twice"):
        song_describer.SongDescriberAudio(twice)
    with pytest.raises(InputError, match=r"lacks 1 tracks, such as '3'"):
        audio.clips(["3"], RATE)
    with pytest.raises(InputError, match=r"1/1\.mp3 in .* cannot be read as audio"):
        audio.clips(["1"], RATE)
    with monkeypatch.context() as patch, pytest.raises(InputError, match="it is no such track"):
        patch.setattr(song_describer, "_MAX_FILE_BYTES", 4)
        audio.clips(["2"], RATE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(AssetError, match="is damaged"):
        audio.clips(["2"], RATE)
    path.write_bytes(b"PK\3\4 half of an archive")
    with pytest.raises(AssetError, match="cannot be read"):
        song_describer.SongDescriberAudio(path)
    with pytest.raises(AssetError, match="attm assets fetch song_describer"):
        song_describer.SongDescriberAudio(tmp_path / "audio.zip")
