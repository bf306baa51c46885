"""The networks of a profile for generating and scoring: trained by the study, or untrained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator

from attm_companion.study import frozen as mini
from attm_companion.study import paper_frozen as published
from attm_companion.study.chain import Weights
from attm_companion.study.features import latent_shapes
from attm_companion.study.judges import ClapStage
from attm_companion.study.sampling import sampling_model
from attm_companion.study.scheduler import ensure
from attm_companion.study.stage import Stage, ancestry
from attm_companion.study.study import Study
from attm_companion.world import mini_clap, mini_codec, mini_separator, minilm, random_networks
from attm_core.backbone.checkpoint import cross_load, load_model, load_reference_state_dict
from attm_core.backbone.config import Conditions
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.codec.mmaudio import MMAudioCodec
from attm_core.constants import HeadName
from attm_core.errors import AssetError
from attm_core.files import sha256_file
from attm_core.generation.guidance import VelocityModel
from attm_core.generation.pipeline import FixedNetworks
from attm_core.generation.separation import DemucsSeparator
from attm_core.randomness import torch_generator
from attm_core.ranker.reward_model import RewardModel
from attm_core.weights import build, read_state_dict


@dataclass(frozen=True)
class Loaded:
    """What `generate` and scoring need."""

    model: VelocityModel  # the backbone, ready for sampling
    networks: FixedNetworks  # what is around it
    reward: RewardModel | None  # the evaluation's; None for untrained networks
    uid: str  # identity of the weights, for the record


def provide(study: Study, stages: Sequence[Stage], train: bool) -> None:
    """Make sure that stages are cached.

    Raises:
        AssetError: they are not and ``train`` is False.
        StageError: training one failed.
    """
    missing = [stage for stage in ancestry(list(stages)) if not stage.done]
    if missing and not train:
        labels = ", ".join(dict.fromkeys(stage.label for stage in missing))
        raise AssetError(
            f"{len(missing)} stages of profile {study.profile.name} are not trained yet ({labels})."
            f" Run `attm study --profile {study.profile.name}`, or leave --no-train out to train"
            " just these now"
        )
    ensure(stages)


def trained_reward(study: Study, train: bool = True) -> RewardModel:
    """The ranker of a study, on its evaluation CLAP model."""
    provide(study, [study.ranker], train)
    return study.ranker.reward_model


def trained(study: Study, weights: Weights, train: bool = True) -> Loaded:
    """A trained model of a study with everything around it."""
    provide(study, [weights, study.frozen.separator], train)
    return _around(study, weights.model(), weights.uid, train)


def given(study: Study, path: Path, forward: HeadName, train: bool = True) -> Loaded:
    """A backbone from a file with a study's fixed networks around it.

    Args:
        study: whose networks, and whose sizes for a file that does not state its own.
        path: what `attm_core.backbone.checkpoint.save_model` wrote, or a state dict of the
            reference, such as the authors' submission.
        forward: the score head to run it in.
        train: whether networks that are missing may be trained.

    Raises:
        CheckpointError: the file is unreadable or does not fit.
        AssetError: a network is missing.
    """
    frozen, ours = study.frozen, path.suffix == ".safetensors"
    load_model(path) if ours else read_state_dict(path)  # before anything is trained for it
    provide(study, [frozen.text, frozen.conditioning_clap, frozen.codec, frozen.separator], train)
    if ours:
        model = cross_load(load_model(path), forward)
    else:
        config = replace(study.profile.backbone, **study.features.shapes(), score_head=forward)
        model = load_reference_state_dict(path, config)
    return _around(study, model.eval(), f"{path.name}-{sha256_file(path)[:12]}", train)


def _around(study: Study, model: FluxAudio, uid: str, train: bool) -> Loaded:
    ready = sampling_model(model, study.features.device)
    networks = study.features.networks(separator=True)
    return Loaded(ready, networks, trained_reward(study, train), uid)


def untrained(study: Study, head: HeadName) -> Loaded:
    """A study's networks with random weights: sizes, memory and time are real, the sound is not."""
    frozen = study.frozen

    def generator(role: str) -> Generator:
        return torch_generator(study.training_seed, role, "untrained")

    text = _untrained(frozen.text, generator("text"))
    clap = _untrained(frozen.conditioning_clap, generator("clap"))
    codec = _untrained(frozen.codec, generator("codec"))

    def encode_text(texts: list[str]) -> Conditions:
        return Conditions(text.encode(texts), clap.embed_text(texts))

    config = replace(study.profile.backbone, **latent_shapes(codec, text, clap), score_head=head)
    model = FluxAudio(config, generator("backbone")).eval()
    empty = encode_text([""])
    model.set_null_text(empty.tokens[0], empty.pooled[0])
    model.set_latent_statistics(torch.zeros(codec.n_channels), torch.ones(codec.n_channels))
    separator = _untrained(frozen.separator, generator("separator"))
    networks = FixedNetworks(encode_text, codec, separator)
    uid = f"untrained-{study.profile.name}-{study.training_seed}"
    return Loaded(sampling_model(model, torch.device("cpu")), networks, None, uid)


def _untrained(role: Stage, generator: Generator) -> Any:
    """The network of a frozen role with random weights; MiniLM, which nobody trains, as it is."""
    match role:
        case mini.TextStage():
            return minilm.MiniLM(role.n_tokens)
        case ClapStage():
            text = minilm.MiniLM(role.text.n_tokens)
            return build(lambda: mini_clap.MiniClap(role.config, text), generator).eval()
        case mini.CodecStage():
            return build(lambda: mini_codec.MiniCodec(role.config), generator).eval()
        case mini.SeparatorStage():
            return DemucsSeparator(mini_separator.build_mini_demucs(role.config, generator))
        case published.FlanT5Stage():
            return random_networks.random_flan_t5(generator)
        case published.LaionClapStage():
            return random_networks.random_laion_clap(generator, role.architecture)
        case published.MMAudioCodecStage():
            return MMAudioCodec.random(generator)
    assert isinstance(role, published.MdxExtraStage)
    return random_networks.random_mdx_extra(generator)
