import pytest
import torch

from attm_core.errors import AssetError
from attm_core.generation.clips import Request, make_clips
from attm_core.generation.sampler import GenerationConfig
from attm_core.study import casting
from attm_core.study.casting import provide, trained_cast, untrained_cast, weights_of
from attm_core.study.profile import load_profile
from attm_core.study.study import Study


@pytest.mark.parametrize("stage", ["sft", "expert", "crpo"])
def test_weights_are_those_of_the_chain(stage):
    study = Study("smoke")
    found = weights_of(study, stage, "global_adaln")
    chain = {
        "sft": study.sft("global_adaln"),
        "expert": study.expert("global_adaln"),
        "crpo": study.crpo(),
    }
    assert found.uid == chain[stage].uid


def test_what_is_missing_is_named_and_not_trained(monkeypatch):
    started = []
    monkeypatch.setattr(casting, "ensure", started.append)
    study = Study("smoke")
    with pytest.raises(AssetError, match=r"not trained yet \(Corpus.*`attm study --profile smoke`"):
        trained_cast(study, study.crpo(), train=False)
    assert started == []
    provide(study, [study.frozen.corpus], train=True)
    assert [stage.uid for stage in started[0]] == [study.frozen.corpus.uid]


@pytest.mark.parametrize("head", ["global_adaln", "input_add", "text_prepend"])
def test_an_untrained_cast_has_the_profile_s_sizes_and_makes_sound(head):
    codec = load_profile("smoke").cast.codec
    cast = untrained_cast(Study("smoke", seed=1), head)
    assert cast.latent_shape == (codec.n_samples // 2048, codec.n_channels)
    assert cast.listener is None
    config = GenerationConfig(s=5.0, w=4.0, n_steps=1)
    request = Request(("calm piano",), config, seed=42, prefix="", negative="noise", post=False)
    first, again = (make_clips(request, cast)[0] for _ in range(2))
    assert first.wave.shape == (codec.n_samples,)
    assert torch.isfinite(first.wave).all()
    assert first.wave.std() > 0
    assert torch.equal(first.wave, again.wave)
    assert first.heard is None


def test_untrained_weights_come_from_the_seed():
    n_channels = load_profile("smoke").cast.codec.n_channels
    noise = torch.randn(1, 32, n_channels, generator=torch.Generator().manual_seed(0))
    one, same, other = (
        untrained_cast(Study("smoke", seed), "input_add").codec.decode(noise) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
