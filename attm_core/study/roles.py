"""The frozen roles of the system and who plays them: the mini cast or the published models."""

from __future__ import annotations

import pydantic

from attm_core.study.frozen import (
    ClapStage,
    CodecStage,
    CorpusStage,
    MertStage,
    SeparatorStage,
    TextStage,
)
from attm_core.study.profile import MiniCast
from attm_core.study.ranking import RankerStage

EVALUATION_SEED_OFFSET = 1000  # the second mini CLAP differs from the first by its seed alone


class Frozen(pydantic.BaseModel):
    """The cast of all frozen roles: what every generator of a study shares."""

    model_config = pydantic.ConfigDict(extra="forbid")

    corpus: CorpusStage
    text: TextStage
    conditioning_clap: ClapStage
    evaluation_clap: ClapStage
    mert: MertStage
    codec: CodecStage
    separator: SeparatorStage


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
    return RankerStage(
        corpus=frozen.corpus,
        clap=frozen.evaluation_clap,
        mert=frozen.mert,
        preferences=cast.preferences,
        config=cast.ranker,
        seed=seed,
    )
