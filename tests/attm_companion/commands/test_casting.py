from types import SimpleNamespace

import pytest
import torch
from training_toys import SHAPE, SIZE, awake, tiny_model

from attm_companion.commands import casting
from attm_companion.commands.casting import given, provide, trained, untrained
from attm_companion.study.profile import Profile, load_profile
from attm_companion.study.study import Study
from attm_core.backbone.checkpoint import cross_load, save_model
from attm_core.backbone.fast_sampling import FastFluxAudio
from attm_core.configuration import GenerationConfig
from attm_core.errors import AssetError, CheckpointError
from attm_core.generation.pipeline import FixedNetworks, generate
from attm_core.precision import fast_dtype


def test_what_is_missing_is_named_and_not_trained(monkeypatch):
    started = []
    monkeypatch.setattr(casting, "ensure", started.append)
    study = Study("smoke")
    with pytest.raises(AssetError, match=r"not trained yet \(Corpus.*`attm study --profile smoke`"):
        trained(study, study.crpo(), train=False)
    assert started == []
    provide(study, [study.frozen.corpus], train=True)
    assert [stage.uid for stage in started[0]] == [study.frozen.corpus.uid]


@pytest.mark.parametrize("head", ["global_adaln", "input_add", "text_prepend"])
def test_an_untrained_cast_has_the_profile_s_sizes_and_makes_sound(head):
    codec = load_profile("smoke").cast.codec
    loaded = untrained(Study("smoke", seed=1), head)
    assert loaded.networks.codec.n_latents == codec.n_samples // 2048
    assert loaded.reward is None
    config = GenerationConfig(n_steps=1, negative_prompt="noise").without_postprocessing()
    first, again = (
        generate(loaded.model, ["calm piano"], config, loaded.networks, [42]).waves for _ in "12"
    )
    assert first.shape == (1, 1, codec.n_samples)
    assert first.std() > 0
    assert torch.equal(first, again)
    other = untrained(Study("smoke", seed=2), head)
    waves = generate(other.model, ["calm piano"], config, other.networks, [42]).waves
    assert not torch.allclose(waves, first)


class KnownParts(Study):
    """The smoke study with frozen parts that say who they are and are never trained."""

    @property
    def frozen(self):
        codec = SimpleNamespace(model=lambda: "codec")
        parts = dict.fromkeys(("text", "conditioning_clap", "separator"), codec)
        return SimpleNamespace(codec=codec, **parts)

    @property
    def features(self):
        return SimpleNamespace(
            device=torch.device("cpu"),
            networks=lambda separator: FixedNetworks(lambda texts: texts, "codec", "separator"),
            shapes=lambda: SHAPE,
        )


@pytest.fixture
def known(monkeypatch) -> KnownParts:
    monkeypatch.setattr(casting, "provide", lambda study, stages, train: None)
    monkeypatch.setattr(casting, "trained_reward", lambda study, train: None)
    values = load_profile("smoke").model_dump()
    values["backbone"] |= SIZE
    return KnownParts(Profile.model_validate(values))


@pytest.mark.parametrize("name", ["ours.safetensors", "theirs.pth"])
def test_a_given_backbone_keeps_its_weights_and_takes_the_forward_asked_for(known, tmp_path, name):
    model, path = awake(tiny_model()), tmp_path / name
    if name.endswith("safetensors"):
        save_model(model, path)
    else:
        torch.save(model.state_dict(), path)
    loaded = given(known, path, "input_add")
    assert loaded.uid.startswith(f"{name}-")
    hybrid = FastFluxAudio(cross_load(model, "input_add").eval(), fast_dtype())
    t, s = torch.full((2,), 0.5), torch.ones(2)
    x, conditions = torch.ones(2, 4, 3), model.null_conditions(2)
    ours, theirs = (built(x, t, conditions, s) for built in (loaded.model, hybrid))
    assert torch.equal(ours, theirs)
    assert ours.std() > 0


def test_a_given_file_that_fits_no_backbone_is_refused(known, tmp_path):
    torch.save({"net.0.weight": torch.ones(2, 2)}, tmp_path / "head.pt")
    with pytest.raises(CheckpointError, match=r"head\.pt"):
        given(known, tmp_path / "head.pt", "input_add")
