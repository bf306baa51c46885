import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from attm_core.errors import AssetError, CheckpointError, ConfigError, InputError
from attm_core.generation import separation
from attm_core.generation.separation import (
    DemucsSeparator,
    _mdx_extra_bag,
    load_mdx_extra,
    remove_vocals,
)


def tiny_demucs(
    sources: tuple[str, ...] = ("drums", "bass", "vocals"), channels: int = 2
) -> nn.Module:
    from demucs.demucs import Demucs

    size = {"channels": 4, "depth": 2, "dconv_attn": 9, "dconv_lstm": 9, "resample": False}
    with torch.random.fork_rng():
        return Demucs(list(sources), audio_channels=channels, samplerate=8000, segment=2, **size)


class Halver:
    """A separator whose "vocals" are half of what it hears."""

    sample_rate_hz = 8000

    def __init__(self) -> None:
        self.calls = 0

    def no_vocals(self, wave: Tensor) -> Tensor:
        self.calls += 1
        return wave / 2


WAVE = torch.randn(1, 1, 6000, generator=torch.Generator().manual_seed(0))


def test_three_passes_by_hand() -> None:
    separator = Halver()
    torch.testing.assert_close(remove_vocals(WAVE, separator), WAVE / 8)
    assert separator.calls == 3


def test_released_variant_brings_every_pass_to_its_peak() -> None:
    left = remove_vocals(WAVE, Halver(), variant="as_released")
    torch.testing.assert_close(left, WAVE / WAVE.abs().max() * 0.95)
    silent = remove_vocals(torch.zeros(1, 1, 100), Halver(), variant="as_released")
    assert torch.equal(silent, torch.zeros(1, 1, 100))


@pytest.mark.parametrize("variant", ["as_written", "as_released"])
@pytest.mark.parametrize("channels", [1, 2])
def test_batch_equals_one_by_one(variant: str, channels: int) -> None:
    separator = DemucsSeparator(tiny_demucs(channels=channels))
    waves = torch.cat([WAVE, WAVE.flip(2) * 0.3])
    together = remove_vocals(waves, separator, variant=variant)
    alone = torch.cat([remove_vocals(wave[None], separator, variant=variant) for wave in waves])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_keeps_the_sum_of_all_but_the_vocals() -> None:
    model = tiny_demucs().eval()
    with torch.no_grad():
        wave = WAVE[..., : model.valid_length(5000)]  # a length that needs no padding
        sources = model(wave.expand(1, 2, -1))
    expected = (sources[:, 0] + sources[:, 1]).mean(dim=1, keepdim=True)
    torch.testing.assert_close(DemucsSeparator(model).no_vocals(wave), expected)


def test_a_model_of_the_voice_alone_is_subtracted() -> None:
    model = tiny_demucs(("vocals",), channels=1).eval()
    with torch.no_grad():
        wave = WAVE[..., : model.valid_length(5000)]
        expected = wave - model(wave)[:, 0]
    torch.testing.assert_close(DemucsSeparator(model).no_vocals(wave), expected)


def test_stereo_in_stereo_out() -> None:
    stereo = torch.cat([WAVE, -WAVE], dim=1)
    assert DemucsSeparator(tiny_demucs()).no_vocals(stereo).shape == (1, 2, 6000)


def test_same_input_same_output_even_over_several_segments() -> None:
    separator = DemucsSeparator(tiny_demucs())
    long = torch.randn(1, 1, 30000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(separator.no_vocals(long), separator.no_vocals(long))


def test_silence_stays_silent() -> None:
    left = remove_vocals(torch.zeros(1, 1, 6000), DemucsSeparator(tiny_demucs()))
    assert left.abs().max() < 1e-3


def test_a_separator_needs_vocals() -> None:
    with pytest.raises(ConfigError, match="needs 'vocals'"):
        DemucsSeparator(tiny_demucs(("drums", "bass")))


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="separation variant"):
        remove_vocals(WAVE, Halver(), variant="thrice")
    with pytest.raises(InputError, match="NaN"):
        remove_vocals(WAVE * torch.nan, Halver())
    with pytest.raises(InputError, match=r"\(B, C, S\)"):
        remove_vocals(WAVE[0], Halver())
    with pytest.raises(InputError, match=r"\(B, 1 or 2, S\)"):
        DemucsSeparator(tiny_demucs()).no_vocals(WAVE.expand(1, 3, -1))


def test_mdx_extra_names_its_files() -> None:
    # Facts of the published bag: four hybrid models, equal weights.
    assert [name.split("-")[0] for name in _mdx_extra_bag()[0]] == [
        "e51eebcc",
        "a1d90b5c",
        "5d2d6c55",
        "cfa93e08",
    ]


def test_missing_checkpoints_say_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"lacks e51eebcc-c1b80bdd\.th.*assets fetch demucs`"):
        load_mdx_extra(tmp_path)


def checkpoint(path: Path, model: nn.Module, extra: object = None) -> str:
    """Write a package as demucs does; the name ends in its hash."""
    args, kwargs = model._init_args_kwargs
    package = {
        "klass": model.__class__,
        "args": args,
        "kwargs": kwargs,
        "state": {name: value.half() for name, value in model.state_dict().items()},
        "training_args": {"epochs": 1},
        "extra": extra,
    }
    torch.save(package, path / "part.th")
    digest = hashlib.sha256((path / "part.th").read_bytes()).hexdigest()[:8]
    return (path / "part.th").rename(path / f"aaaa{len(list(path.iterdir()))}-{digest}.th").name


def test_bag_loads_from_hashed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [checkpoint(tmp_path, tiny_demucs(("drums", "bass", "other", "vocals"))) for _ in "12"]
    monkeypatch.setattr(separation, "_mdx_extra_bag", lambda: (names, 4.0))
    bag = load_mdx_extra(tmp_path)
    singles = [separation._load_checkpoint(tmp_path / name) for name in names]
    expected = sum(DemucsSeparator(model).no_vocals(WAVE) for model in singles) / 2
    torch.testing.assert_close(bag.no_vocals(WAVE), expected, atol=1e-5, rtol=1e-4)


class Payload:
    def __reduce__(self) -> tuple:
        return print, ("code ran",)


def test_code_in_a_checkpoint_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = checkpoint(tmp_path, tiny_demucs(), Payload())
    with pytest.raises(CheckpointError, match=r"asks for code to be run \(print\)"):
        separation._load_checkpoint(tmp_path / name)
    assert "code ran" not in capsys.readouterr().out


def test_corrupt_checkpoint_is_refused(tmp_path: Path) -> None:
    name = checkpoint(tmp_path, tiny_demucs())
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:-1] + b"x")
    with pytest.raises(AssetError, match="does not match its hash"):
        separation._load_checkpoint(tmp_path / name)
