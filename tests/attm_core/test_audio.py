import math
import resource

import pytest
import torch
from extraction_toys import hours_of_silence

from attm_core.audio import clipped_share, level_dbfs, load_audio, resample, save_audio
from attm_core.errors import InputError


@pytest.mark.parametrize("n_channels", [1, 2, 8])
@pytest.mark.parametrize("n_frames", [1, 500])
def test_what_was_saved_comes_back(tmp_path, n_channels, n_frames):
    wave = torch.full((n_channels, n_frames), 0.25)
    again, rate = load_audio(save_audio(tmp_path / "a.wav", wave, 8_000, "FLOAT"))
    assert rate == 8_000
    assert torch.equal(again, wave)


@pytest.mark.parametrize(
    ("rate", "hours", "channels", "said"),
    [
        (16_000, 3.0, 1, "lasts 10800 s, more than the 3600 s allowed; cut it first"),
        (96_000, 0.9, 3, "more than the 345600000 allowed"),
    ],
)
def test_hours_of_audio_are_refused_by_their_header(
    tmp_path, monkeypatch, rate, hours, channels, said
):
    hours_of_silence(path := tmp_path / "long.wav", rate, hours, channels)
    monkeypatch.setattr("soundfile.SoundFile.read", None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB
    with pytest.raises(InputError, match=said):
        load_audio(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


def test_nothing_is_written_of_audio_that_is_refused(tmp_path):
    for wave in (torch.zeros(1, 0), torch.full((1, 9), torch.nan), torch.zeros(9, 4)):
        with pytest.raises(InputError, match="audio to save"):
            save_audio(tmp_path / "a.wav", wave, 8_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "said"),
    [(47_999, 48_000, "is no usual rate"), (0, 48_000, "cannot resample"), (-1, 8_000, "cannot")],
)
def test_rates_that_would_fill_the_memory_are_refused(from_hz, to_hz, said):
    assert resample(torch.zeros(1, 4_410), 44_100, 48_000).shape == (1, 4_800)
    with pytest.raises(InputError, match=said):
        resample(torch.zeros(1, 10), from_hz, to_hz)


def test_level_and_clipped_share_by_hand():
    square = torch.tensor([1.0, -1.0, 0.1, -0.1]).repeat(2, 1, 100)
    waves = torch.stack([square[0], torch.zeros(1, 400)])
    level = level_dbfs(waves)
    assert level[0] == pytest.approx(10 * math.log10((1 + 0.01) / 2))
    assert level[1] == pytest.approx(-120.0)
    assert clipped_share(waves).tolist() == [0.5, 0.0]
