import pytest
import torch
from torch import Tensor

from attm_core.errors import ConfigError, InputError
from attm_core.generation.loudness import integrated_loudness
from attm_core.generation.postprocess import PostprocessConfig, postprocess

RATE = 16000


class Subtractor:
    """Removes a known constant "voice"; hears audio at its own rate."""

    def __init__(self, sample_rate_hz: int = RATE) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.lengths: list[int] = []

    def no_vocals(self, wave: Tensor) -> Tensor:
        self.lengths.append(wave.shape[1])
        return wave * 0.9


def clips(n: int = 3) -> Tensor:
    time = torch.arange(RATE) / RATE
    return torch.stack([0.05 * (i + 1) * torch.sin(2 * torch.pi * 500 * time) for i in range(n)])


def test_the_papers_chain() -> None:
    done, reports = postprocess(clips(), RATE, Subtractor())
    assert done.shape == (3, RATE)
    for wave, report in zip(done, reports, strict=True):
        assert integrated_loudness(wave[None], RATE) == pytest.approx(-16.5, abs=0.01)
        assert report.outcome == "normalized"


def test_steps_can_be_left_out() -> None:
    config = PostprocessConfig(n_passes=0, target_lufs=None)
    done, reports = postprocess(clips(), RATE, None, config)
    assert torch.equal(done, clips())
    assert reports == []
    only = PostprocessConfig(target_lufs=None)
    separated, _ = postprocess(clips(), RATE, Subtractor(), only)
    torch.testing.assert_close(separated, clips() * 0.9**3)


def test_separator_hears_its_own_rate() -> None:
    separator = Subtractor(2 * RATE)
    config = PostprocessConfig(target_lufs=None)
    done, _ = postprocess(clips(), RATE, separator, config)
    assert set(separator.lengths) == {2 * RATE}
    middle = slice(200, -200)
    torch.testing.assert_close(done[:, middle], (clips() * 0.9**3)[:, middle], atol=2e-3, rtol=1e-2)


def test_silent_clip_among_others() -> None:
    waves = clips()
    waves[1] = 0
    done, reports = postprocess(waves, RATE, Subtractor())
    assert [report.outcome for report in reports] == ["normalized", "silent", "normalized"]
    assert done[1].abs().max() == 0


def test_no_clips() -> None:
    done, reports = postprocess(torch.zeros(0, RATE), RATE, Subtractor())
    assert done.shape == (0, RATE)
    assert reports == []


def test_bad_requests_are_refused() -> None:
    waves = clips()
    waves[2, 5] = torch.inf
    with pytest.raises(InputError, match=r"clips \[2\] hold NaN or infinite"):
        postprocess(waves, RATE, Subtractor())
    with pytest.raises(InputError, match=r"\(B, S\)"):
        postprocess(clips()[0], RATE, Subtractor())
    with pytest.raises(ConfigError, match="needs a separator"):
        postprocess(clips(), RATE, None)
    with pytest.raises(ConfigError, match="n_passes"):
        PostprocessConfig(n_passes=-1)
