"""mdx_extra with random weights: the published bag's shape, reproducibility, determinism."""

import pytest
import torch

from attm_companion.world.random_networks import SEGMENT_S, random_mdx_extra
from attm_core.generation.separation import DemucsSeparator, _mdx_extra_bag, remove_vocals

SMALL = {"channels": 4, "depth": 5, "dconv_attn": 9, "dconv_lstm": 9, "nfft": 1024}
SMALL |= {"samplerate": 8000}


def separator(seed: int = 0) -> DemucsSeparator:
    return random_mdx_extra(torch.Generator().manual_seed(seed), SMALL)


def test_the_bag_is_the_published_one() -> None:
    files, segment = _mdx_extra_bag()
    bag = separator().model
    assert len(bag.models) == len(files)
    assert [model.segment for model in bag.models] == [segment] * 4 == [SEGMENT_S] * 4
    assert bag.sources == ["drums", "bass", "other", "vocals"]
    assert bag.audio_channels == 2
    assert [model.cac for model in bag.models] == [True, True, False, False]
    assert all(model.channels == 4 and model.hybrid for model in bag.models)


def test_published_size() -> None:
    from demucs.hdemucs import HDemucs

    with torch.device("meta"):
        model = HDemucs(["drums", "bass", "other", "vocals"], emb_smooth=False)
    # 83.6 million, as torchaudio's documentation of the same network says.
    assert round(sum(value.numel() for value in model.parameters()) / 1e5) == 836


def test_it_separates_deterministically() -> None:
    wave = 0.1 * torch.randn(1, 1, 8000, generator=torch.Generator().manual_seed(0))
    left, again, other = (remove_vocals(wave, separator(seed)) for seed in (0, 0, 1))
    assert left.shape == wave.shape
    assert torch.isfinite(left).all()
    assert torch.equal(left, again)
    assert not torch.allclose(left, other)


def test_weights_follow_the_generator_alone() -> None:
    before = torch.get_rng_state()
    bag = separator().model.models
    assert torch.equal(torch.get_rng_state(), before)
    first, second = (dict(model.named_parameters()) for model in bag[:2])
    same = [n for n, v in first.items() if v.ndim > 1 and torch.equal(v, second[n])]
    assert not same
    with pytest.raises(RuntimeError, match="does not require grad"):
        next(bag[0].parameters()).sum().backward()
