"""The paper's cast of the frozen roles, as stages: published models, read from their assets.

Nothing is trained: `run` compares the files with the manifest's digests, `model` reads them onto
this machine's device.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from attm_companion.arrays import Array
from attm_companion.assets import State, find_asset, verify
from attm_companion.study.stage import Stage
from attm_core.assets import asset_folder
from attm_core.codec.mel import MEL_44K
from attm_core.configuration import CLIP_SAMPLES, ClapArchitecture, MMAudioVAEConfig, Role
from attm_core.errors import AssetError
from attm_core.files import write_json
from attm_core.ranker.reward_model import RewardModel
from attm_core.ranker.tunejury import FeatureWidths, load_head

if TYPE_CHECKING:
    from attm_core.codec.mmaudio import MMAudioCodec
    from attm_core.encoders.flan_t5 import FlanT5
    from attm_core.encoders.laion_clap import LaionClap
    from attm_core.encoders.mert import Mert
    from attm_core.evaluation.concept_coverage import AudioLanguageJudge
    from attm_core.generation.separation import DemucsSeparator

FILES = "files.json"
ACCEPTED: tuple[State, ...] = ("verified", "unverified")


def work_device() -> torch.device:
    """The device of the published models: a GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class AssetStage(Stage):
    """A role played by published files."""

    ASSETS: ClassVar[tuple[str, ...]] = ()

    @property
    def assets(self) -> tuple[str, ...]:
        """Names in the manifest of what the role needs."""
        return self.ASSETS

    def run(self, folder: Path) -> None:
        """Note the state of every file; raises ``AssetError`` if one is absent or wrong."""
        write_json(folder / FILES, {name: _checked(name) for name in self.assets})


def _checked(name: str) -> dict[str, State]:
    states = verify(find_asset(name))
    wrong = [f"{path} is {state}" for path, state in states.items() if state not in ACCEPTED]
    if wrong:
        listed = "\n  ".join(wrong)
        raise AssetError(
            f"asset {name} in {asset_folder(name)}: run `attm assets fetch {name}`\n  {listed}"
        )
    return states


@cache
def _once(load: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """What a loader gives, one per process."""
    return load(*given, **named)


class FlanT5Stage(AssetStage):
    """FLAN-T5-Large: the token states of the joint blocks (Section III-A)."""

    kind: Literal["flan_t5"] = "flan_t5"
    ASSETS: ClassVar[tuple[str, ...]] = ("flan_t5",)

    def encoder(self) -> FlanT5:
        """The published encoder."""
        from attm_core.encoders.flan_t5 import FlanT5

        encoder: FlanT5 = _once(FlanT5.load, asset_folder("flan_t5"), device=work_device())
        return encoder


class LaionClapStage(AssetStage):
    """LAION-CLAP: one checkpoint conditions the backbone, another evaluates (C31)."""

    kind: Literal["laion_clap"] = "laion_clap"
    role: Role
    architecture: ClapArchitecture

    @property
    def assets(self) -> tuple[str, ...]:
        """The checkpoint of the role, and RoBERTa's tokenizer."""
        return (f"clap_{self.role}", "roberta_tokenizer")

    def model(self) -> LaionClap:
        """The published model."""
        from attm_core.encoders.laion_clap import LaionClap

        places = (self.role, *map(asset_folder, self.assets))
        named = {"architecture": self.architecture, "device": work_device()}
        model: LaionClap = _once(LaionClap.load, *places, **named)
        return model


class PublishedMertStage(AssetStage):
    """MERT-v1-330M: what the ranker hears besides CLAP (Section III-C)."""

    kind: Literal["published_mert"] = "published_mert"
    ASSETS: ClassVar[tuple[str, ...]] = ("mert",)

    def model(self) -> Mert:
        """The published model."""
        from attm_core.encoders.mert import Mert

        model: Mert = _once(Mert.load, asset_folder("mert"), device=work_device())
        return model


class MMAudioCodecStage(AssetStage):
    """MMAudio's VAE at 44.1 kHz and BigVGAN v2 (Section III-A)."""

    kind: Literal["mmaudio_codec"] = "mmaudio_codec"
    vae: MMAudioVAEConfig
    n_samples: int = CLIP_SAMPLES
    ASSETS: ClassVar[tuple[str, ...]] = ("vae", "vocoder")

    def model(self) -> MMAudioCodec:
        """The published codec."""
        from attm_core.codec.mmaudio import MMAudioCodec

        vae, vocoder = (asset_folder(name) for name in self.assets)
        path = vae / find_asset("vae").files[0].path
        return MMAudioCodec.load(path, vocoder, self.n_samples, self.vae).to(work_device())


class MdxExtraStage(AssetStage):
    """mdx_extra: four Hybrid-Demucs models (Sections III-D(a) and III-E)."""

    kind: Literal["mdx_extra"] = "mdx_extra"
    ASSETS: ClassVar[tuple[str, ...]] = ("demucs",)

    def model(self) -> DemucsSeparator:
        """The published bag of models."""
        from attm_core.generation.separation import load_mdx_extra

        return load_mdx_extra(asset_folder("demucs"), work_device())


class ConceptJudgeStage(AssetStage):
    """An audio language model that tells which concepts of its prompt a clip has (Section I)."""

    kind: Literal["concept_judge"] = "concept_judge"
    ASSETS: ClassVar[tuple[str, ...]] = ("concept_judge",)

    def scores(self, waves: Tensor, captions: Sequence[str]) -> dict[str, Array]:
        """``ccs`` (n,) of waves (n, C, S): share of each caption's concepts that it hears."""
        from attm_core.evaluation.concept_coverage import AudioLanguageJudge, concept_coverage

        # PAPER-SILENT: how concepts are drawn from a prompt. Here each clause of it is one.
        clauses = ([part.strip() for part in re.split(r"[,.;:]", text)] for text in captions)
        concepts = [list(dict.fromkeys(filter(None, parts))) for parts in clauses]
        judge: AudioLanguageJudge = _once(AudioLanguageJudge.load, asset_folder("concept_judge"))
        judge.model.to(work_device())
        return {"ccs": concept_coverage(waves, MEL_44K.sample_rate_hz, concepts, judge)}


class TuneJuryStage(AssetStage):
    """The ranker's released head on the evaluation CLAP and MERT (Section III-C)."""

    kind: Literal["tunejury"] = "tunejury"
    clap: LaionClapStage
    mert: PublishedMertStage

    ASSETS: ClassVar[tuple[str, ...]] = ("tunejury",)

    @property
    def reward_model(self) -> RewardModel:
        """The released head with its encoders; its own units are the paper's."""
        path = asset_folder("tunejury") / find_asset("tunejury").files[0].path
        clap, mert = self.clap.model(), self.mert.model()
        widths = FeatureWidths(clap.width, mert.width, clap.width)
        return RewardModel(clap, mert, [_once(load_head, path, widths)])
