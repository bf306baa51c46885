"""The frozen roles of the system and who plays them: the mini cast or the published models."""

from __future__ import annotations

from typing import Annotated

import pydantic

from attm_companion.study.frozen import (
    ClapStage,
    CodecStage,
    CorpusStage,
    MertStage,
    SeparatorStage,
    TextStage,
)
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

EVALUATION_SEED_OFFSET = 1000  # the second mini CLAP differs from the first by its seed alone

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


def frozen_of(cast: MiniCast | PaperCast, seed: int) -> Frozen:
    """The frozen roles of a profile."""
    return mini_frozen(cast, seed) if isinstance(cast, MiniCast) else paper_frozen(cast)


def ranker_of(cast: MiniCast | PaperCast, frozen: Frozen, seed: int) -> RankerRole:
    """The ranker on the evaluation CLAP model and MERT."""
    if isinstance(cast, MiniCast):
        return mini_ranker(cast, frozen, seed)
    return TuneJuryStage.model_validate({"clap": frozen.evaluation_clap, "mert": frozen.mert})


def mini_frozen(cast: MiniCast, seed: int) -> Frozen:
    """The stand-ins, trained on the corpus of scores."""
    corpus = CorpusStage(config=cast.corpus)
    text = TextStage(corpus=corpus, n_tokens=cast.text_tokens)

    def clap(clap_seed: int) -> ClapStage:
        return ClapStage(corpus=corpus, text=text, config=cast.clap, seed=clap_seed)

    return Frozen(
        corpus=corpus,
        text=text,
        conditioning_clap=clap(seed),
        evaluation_clap=clap(seed + EVALUATION_SEED_OFFSET),
        mert=MertStage(corpus=corpus, config=cast.mert, seed=seed),
        codec=CodecStage(corpus=corpus, config=cast.codec, seed=seed),
        separator=SeparatorStage(
            corpus=corpus, config=cast.separator, training=cast.separator_training, seed=seed
        ),
    )


def mini_ranker(cast: MiniCast, frozen: Frozen, seed: int) -> RankerStage:
    """TuneJury trained on simulated votes, hearing through the evaluation CLAP model."""
    return RankerStage.model_validate(
        {
            "corpus": frozen.corpus,
            "clap": frozen.evaluation_clap,
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
