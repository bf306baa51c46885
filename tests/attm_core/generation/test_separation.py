from functools import partial

import pytest
import torch
from published_files import tiny_demucs, write_demucs
from toy_networks import ToySeparator

from attm_core.errors import AssetError, ConfigError, InputError
from attm_core.files import sha256_file
from attm_core.generation import separation

THREE = ("drums", "bass", "vocals")
WAVE = torch.randn(1, 1, 6000, generator=torch.Generator().manual_seed(0))


def test_three_passes_by_hand_and_each_brought_to_its_peak_as_released():
    separator = ToySeparator()
    torch.testing.assert_close(separation.remove_vocals(WAVE, separator), WAVE / 8)
    assert separator.calls == 3
    left = separation.remove_vocals(WAVE, ToySeparator(), variant="as_released")
    torch.testing.assert_close(left, WAVE / WAVE.abs().max() * 0.95)
    silent = separation.remove_vocals(torch.zeros(1, 1, 100), ToySeparator(), variant="as_released")
    assert torch.equal(silent, torch.zeros(1, 1, 100))


@pytest.mark.parametrize("variant", ["as_written", "as_released"])
@pytest.mark.parametrize("channels", [1, 2])
def test_batch_equals_one_by_one(variant, channels):
    separator = separation.DemucsSeparator(tiny_demucs(*THREE, channels=channels))
    waves = torch.cat([WAVE, WAVE.flip(2) * 0.3])
    separate = partial(separation.remove_vocals, separator=separator, variant=variant)
    together, alone = separate(waves), torch.cat([separate(wave[None]) for wave in waves])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    long = torch.randn(1, 1, 30000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(separator.no_vocals(long), separator.no_vocals(long)), "several segments"


@pytest.mark.parametrize(("sources", "channels"), [(THREE, 2), (("vocals",), 1)])
def test_keeps_all_but_the_vocals_or_the_mixture_less_the_voice(sources, channels):
    model = tiny_demucs(*sources, channels=channels).eval()
    with torch.no_grad():
        wave = WAVE[..., : model.valid_length(5000)]  # a length that needs no padding
        heard = model(wave.expand(1, channels, -1))
    expected = heard[:, :-1].sum(dim=1) if channels == 2 else wave - heard[:, 0]
    left = separation.DemucsSeparator(model).no_vocals(wave)
    torch.testing.assert_close(left, expected.mean(dim=1, keepdim=True))
    stereo = wave.expand(1, channels, -1) * torch.tensor([1.0, -1.0])[:channels, None]
    assert separation.DemucsSeparator(model).no_vocals(stereo).shape == stereo.shape


def test_bad_requests_are_refused():
    with pytest.raises(ConfigError, match="separation variant"):
        separation.remove_vocals(WAVE, ToySeparator(), variant="thrice")
    with pytest.raises(ConfigError, match="needs 'vocals'"):
        separation.DemucsSeparator(tiny_demucs("drums", "bass"))
    with pytest.raises(InputError, match="NaN"):
        separation.remove_vocals(WAVE * torch.nan, ToySeparator())
    with pytest.raises(InputError, match=r"\(B, C, S\)"):
        separation.remove_vocals(WAVE[0], ToySeparator())
    with pytest.raises(InputError, match=r"\(B, 1 or 2, S\)"):
        separation.DemucsSeparator(tiny_demucs(*THREE)).no_vocals(WAVE.expand(1, 3, -1))


def test_mdx_extra_names_its_files(tmp_path):
    # Facts of the published bag: four hybrid models, equal weights.
    signs = [name.split("-")[0] for name in separation._mdx_extra_bag()[0]]
    assert signs == ["e51eebcc", "a1d90b5c", "5d2d6c55", "cfa93e08"]
    with pytest.raises(AssetError, match=r"lacks e51eebcc-c1b80bdd\.th.*assets fetch demucs`"):
        separation.load_mdx_extra(tmp_path)


def test_bag_loads_from_hashed_files(tmp_path, monkeypatch):
    names = []
    for _ in "12":
        part = write_demucs(tmp_path / "part.th", "drums", "bass", "other", "vocals")
        names.append(part.rename(tmp_path / f"aaaa-{sha256_file(part)[:8]}.th").name)
    monkeypatch.setattr(separation, "_mdx_extra_bag", lambda: (names, 4.0))
    bag = separation.load_mdx_extra(tmp_path)
    singles = [separation._load_checkpoint(tmp_path / name) for name in names]
    expected = sum(separation.DemucsSeparator(model).no_vocals(WAVE) for model in singles) / 2
    torch.testing.assert_close(bag.no_vocals(WAVE), expected, atol=1e-5, rtol=1e-4)
    renamed = (tmp_path / names[0]).rename(tmp_path / "aaaa-00000000.th")
    with pytest.raises(AssetError, match="does not match its hash"):
        separation._load_checkpoint(renamed)
