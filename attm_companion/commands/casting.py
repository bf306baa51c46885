"""The cast of a profile for generating and judging: trained by the study, or untrained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Generator, Tensor

from attm_companion.study.chain import Weights, flux_config
from attm_companion.study.features import latent_shapes
from attm_companion.study.profile import HeadName
from attm_companion.study.sampling import sampling_model
from attm_companion.study.scheduler import ensure
from attm_companion.study.stage import Stage, ancestry
from attm_companion.study.study import Study
from attm_core.backbone.checkpoint import cross_load, load_model, load_reference_state_dict
from attm_core.backbone.config import Conditions
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.errors import AssetError
from attm_core.files import sha256_file
from attm_core.generation.clips import Cast, Listener
from attm_core.randomness import torch_generator

StageName = Literal["sft", "expert", "crpo"]


def weights_of(study: Study, stage: StageName, head: HeadName) -> Weights:
    """The stage of the chain of a head; ``crpo`` with v1 is the paper's submitted hybrid."""
    if stage == "sft":
        return study.sft(head)
    return study.expert(head) if stage == "expert" else study.crpo(head)


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


def trained_listener(study: Study, train: bool = True) -> Listener:
    """The ranker and the evaluation CLAP model of a study."""
    provide(study, [study.ranker], train)

    def reward(waves: Tensor, rate: int, prompts: Sequence[str]) -> list[float]:
        scored: list[float] = study.ranker.score(waves, rate, prompts).tolist()
        return scored

    return Listener(study.frozen.evaluation_clap.model(), reward)


def trained_cast(study: Study, weights: Weights, train: bool = True) -> Cast:
    """A trained model of a study with everything around it."""
    provide(study, [weights, study.frozen.separator], train)
    return _cast_around(study, weights.model(), weights.uid, train)


def given_cast(study: Study, path: Path, forward: HeadName, train: bool = True) -> Cast:
    """A backbone from a file with a study's frozen parts and judges around it.

    Args:
        study: whose frozen parts, and whose sizes for a file that does not state its own.
        path: what `attm_core.backbone.checkpoint.save_model` wrote, or a state dict of the
            reference, such as the authors' submission.
        forward: the score head to run it in.
        train: whether frozen parts that are missing may be trained.

    Raises:
        CheckpointError: the file is unreadable or does not fit.
        AssetError: a frozen part is missing.
    """
    frozen = study.frozen
    provide(study, [frozen.text, frozen.conditioning_clap, frozen.codec, frozen.separator], train)
    if path.suffix == ".safetensors":
        model = cross_load(load_model(path), forward)
    else:
        config = flux_config(study.profile.backbone, forward, study.features.shapes())
        model = load_reference_state_dict(path, config)
    return _cast_around(study, model.eval(), f"{path.name}-{sha256_file(path)[:12]}", train)


def _cast_around(study: Study, model: FluxAudio, uid: str, train: bool) -> Cast:
    device = study.features.device
    return Cast(
        backbone=sampling_model(model, device),
        device=device,
        latent_shape=(model.config.n_latents, model.config.n_channels),
        encode_text=study.features.encode_text,
        codec=study.frozen.codec.model(),
        separator=study.frozen.separator.model(),
        listener=trained_listener(study, train),
        uid=uid,
    )


def untrained_cast(study: Study, head: HeadName) -> Cast:
    """A study's networks at birth: sizes, memory and time are real, the sound is not."""
    frozen = study.frozen

    def generator(role: str) -> Generator:
        return torch_generator(study.training_seed, role, "untrained")

    text = frozen.text.untrained(generator("text"))
    clap = frozen.conditioning_clap.untrained(generator("clap"))
    codec = frozen.codec.untrained(generator("codec"))

    def encode_text(texts: list[str]) -> Conditions:
        return Conditions(text.encode(texts), clap.embed_text(texts))

    config = flux_config(study.profile.backbone, head, latent_shapes(codec, text, clap))
    model = FluxAudio(config, generator("backbone")).eval()
    empty = encode_text([""])
    model.set_null_text(empty.tokens[0], empty.pooled[0])
    model.set_latent_statistics(torch.zeros(codec.n_channels), torch.ones(codec.n_channels))
    return Cast(
        backbone=sampling_model(model, torch.device("cpu")),
        latent_shape=(codec.n_latents, codec.n_channels),
        encode_text=encode_text,
        codec=codec,
        separator=frozen.separator.untrained(generator("separator")),
        listener=None,
        uid=f"untrained-{study.profile.name}-{study.training_seed}",
    )
