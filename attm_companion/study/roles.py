"""The frozen roles of the system and who plays them: the mini cast or the published models."""

from __future__ import annotations

from typing import Annotated

import pydantic

from attm_companion.study.frozen import CodecStage, CorpusStage, SeparatorStage, TextStage
from attm_companion.study.judges import ClapStage, MertStage, OracleStage, SpectrogramStage
from attm_companion.study.paper_corpus import JamendoStage
from attm_companion.study.paper_frozen import (
    FlanT5Stage,
    LaionClapStage,
    MdxExtraStage,
    MMAudioCodecStage,
    PublishedMertStage,
    TuneJuryStage,
)
from attm_companion.study.profile import MiniCast, PaperCast
from attm_companion.study.ranking import RankerStage

# The mini CLAP and the ranker that evaluate differ from those that train by their seeds alone.
EVALUATION_SEED_OFFSET = 1000

_by_kind = pydantic.Field(discriminator="kind")
CorpusRole = Annotated[CorpusStage | JamendoStage, _by_kind]
TextRole = Annotated[TextStage | FlanT5Stage, _by_kind]
ClapRole = Annotated[ClapStage | LaionClapStage, _by_kind]
MertRole = Annotated[MertStage | PublishedMertStage, _by_kind]
CodecRole = Annotated[CodecStage | MMAudioCodecStage, _by_kind]
SeparatorRole = Annotated[SeparatorStage | MdxExtraStage, _by_kind]
RankerRole = Annotated[RankerStage | TuneJuryStage, _by_kind]


class Frozen(pydantic.BaseModel):
    """The cast of all frozen roles: what every generator of a study shares."""

    model_config = pydantic.ConfigDict(extra="forbid")

    corpus: CorpusRole
    text: TextRole
    conditioning_clap: ClapRole
    evaluation_clap: ClapRole
    mert: MertRole
    codec: CodecRole
    separator: SeparatorRole
    oracle: OracleStage | None = None


def frozen_of(cast: MiniCast | PaperCast, seed: int) -> Frozen:
    """The frozen roles of a profile."""
    return mini_frozen(cast, seed) if isinstance(cast, MiniCast) else paper_frozen(cast)


def training_ranker(cast: MiniCast | PaperCast, frozen: Frozen, seed: int) -> RankerRole:
    """The ranker that scores training clips and selects: on the conditioning CLAP and MERT."""
    # PAPER-DEVIATION: the paper has one ranker for training, selection and evaluation, so that its
    # Reward is optimised directly. The released head plays both roles; the miniature has two.
    if isinstance(cast, MiniCast):
        return mini_ranker(cast, frozen, frozen.conditioning_clap, seed)
    return evaluation_ranker(cast, frozen, seed)


def evaluation_ranker(cast: MiniCast | PaperCast, frozen: Frozen, seed: int) -> RankerRole:
    """The ranker whose score is reported as Reward: on the evaluation CLAP and MERT."""
    if isinstance(cast, MiniCast):
        clap = frozen.evaluation_clap
        return mini_ranker(cast, frozen, clap, seed + EVALUATION_SEED_OFFSET)
    return TuneJuryStage.model_validate({"clap": frozen.evaluation_clap, "mert": frozen.mert})


def mini_frozen(cast: MiniCast, seed: int) -> Frozen:
    """The stand-ins, trained on the corpus of scores."""
    corpus = CorpusStage(config=cast.corpus)
    text = TextStage(corpus=corpus, n_tokens=cast.text_tokens)
    codec = CodecStage(corpus=corpus, config=cast.codec, seed=seed)
    heard = SpectrogramStage(corpus=corpus, codec=codec)

    def clap(clap_seed: int) -> ClapStage:
        return ClapStage(spectrograms=heard, text=text, config=cast.clap, seed=clap_seed)

    return Frozen(
        corpus=corpus,
        text=text,
        conditioning_clap=clap(seed),
        evaluation_clap=clap(seed + EVALUATION_SEED_OFFSET),
        mert=MertStage(spectrograms=heard, config=cast.mert, seed=seed),
        codec=codec,
        separator=SeparatorStage(
            corpus=corpus, config=cast.separator, training=cast.separator_training, seed=seed
        ),
        oracle=OracleStage(
            spectrograms=heard,
            config=cast.oracle,
            listeners=cast.preferences.listeners,
            seed=seed,
        ),
    )


def mini_ranker(cast: MiniCast, frozen: Frozen, clap: ClapRole, seed: int) -> RankerStage:
    """TuneJury trained on simulated votes, hearing through one of the two CLAP models."""
    return RankerStage.model_validate(
        {
            "spectrograms": frozen.mert.spectrograms,  # type: ignore[union-attr]
            "clap": clap,
            "mert": frozen.mert,
            "preferences": cast.preferences,
            "config": cast.ranker,
            "seed": seed,
        }
    )


def paper_frozen(cast: PaperCast) -> Frozen:
    """The published models and data sets."""
    return Frozen(
        corpus=JamendoStage(windows=cast.windows, n_samples=cast.n_samples),
        text=FlanT5Stage(),
        conditioning_clap=LaionClapStage(role="conditioning", architecture=cast.clap),
        evaluation_clap=LaionClapStage(role="evaluation", architecture=cast.clap),
        mert=PublishedMertStage(),
        codec=MMAudioCodecStage(vae=cast.vae, n_samples=cast.n_samples),
        separator=MdxExtraStage(),
    )
