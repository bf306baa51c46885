import hashlib
from pathlib import Path

import pytest
import torch
from published_files import MakesFolder
from torch import nn
from toy_networks import ToySeparator

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


WAVE = torch.randn(1, 1, 6000, generator=torch.Generator().manual_seed(0))


def test_three_passes_by_hand() -> None:
    separator = ToySeparator()
    torch.testing.assert_close(remove_vocals(WAVE, separator), WAVE / 8)
    assert separator.calls == 3


def test_released_variant_brings_every_pass_to_its_peak() -> None:
    left = remove_vocals(WAVE, ToySeparator(), variant="as_released")
    torch.testing.assert_close(left, WAVE / WAVE.abs().max() * 0.95)
    silent = remove_vocals(torch.zeros(1, 1, 100), ToySeparator(), variant="as_released")
    assert torch.equal(silent, torch.zeros(1, 1, 100))


@pytest.mark.parametrize("variant", ["as_written", "as_released"])
@pytest.mark.parametrize("channels", [1, 2])
def test_batch_equals_one_by_one(variant: str, channels: int) -> None:
    separator = DemucsSeparator(tiny_demucs(channels=channels))
    waves = torch.cat([WAVE, WAVE.flip(2) * 0.3])
    together = remove_vocals(waves, separator, variant=variant)
    alone = torch.cat([remove_vocals(wave[None], separator, variant=variant) for wave in waves])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("sources", "channels"), [(("drums", "bass", "vocals"), 2), (("vocals",), 1)]
)
def test_keeps_the_sum_of_all_but_the_vocals_or_the_mixture_less_the_voice(
    sources, channels
) -> None:
    model = tiny_demucs(sources, channels).eval()
    with torch.no_grad():
        wave = WAVE[..., : model.valid_length(5000)]  # a length that needs no padding
        heard = model(wave.expand(1, channels, -1))
    expected = heard[:, :-1].sum(dim=1) if channels == 2 else wave - heard[:, 0]
    left = DemucsSeparator(model).no_vocals(wave)
    torch.testing.assert_close(left, expected.mean(dim=1, keepdim=True))
    stereo = wave.expand(1, channels, -1) * torch.tensor([1.0, -1.0])[:channels, None]
    assert DemucsSeparator(model).no_vocals(stereo).shape == stereo.shape


def test_same_input_same_output_even_over_several_segments() -> None:
    separator = DemucsSeparator(tiny_demucs())
    long = torch.randn(1, 1, 30000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(separator.no_vocals(long), separator.no_vocals(long))


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="separation variant"):
        remove_vocals(WAVE, ToySeparator(), variant="thrice")
    with pytest.raises(ConfigError, match="needs 'vocals'"):
        DemucsSeparator(tiny_demucs(("drums", "bass")))
    with pytest.raises(InputError, match="NaN"):
        remove_vocals(WAVE * torch.nan, ToySeparator())
    with pytest.raises(InputError, match=r"\(B, C, S\)"):
        remove_vocals(WAVE[0], ToySeparator())
    with pytest.raises(InputError, match=r"\(B, 1 or 2, S\)"):
        DemucsSeparator(tiny_demucs()).no_vocals(WAVE.expand(1, 3, -1))


def test_mdx_extra_names_its_files() -> None:
    # Facts of the published bag: four hybrid models, equal weights.
    signs = [name.split("-")[0] for name in _mdx_extra_bag()[0]]
    assert signs == ["e51eebcc", "a1d90b5c", "5d2d6c55", "cfa93e08"]


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


def test_a_checkpoint_with_code_or_another_hash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / checkpoint(tmp_path, tiny_demucs(), MakesFolder(tmp_path / "made"))
    with pytest.raises(CheckpointError, match="asks for code to be run"):
        separation._load_checkpoint(path)
    assert not (tmp_path / "made").exists()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(AssetError, match="does not match its hash"):
        separation._load_checkpoint(path)
