"""The frozen roles of the system and who plays them: the mini cast or the published models."""

from typing import Annotated, Any

import pydantic

from attm_companion.assets import missing_assets
from attm_companion.study import paper_frozen as published
from attm_companion.study.frozen import CodecStage, CorpusStage, SeparatorStage, TextStage
from attm_companion.study.judges import ClapStage, MertStage, OracleStage, SpectrogramStage
from attm_companion.study.paper_corpus import JamendoStage
from attm_companion.study.profile import MiniCast, PaperCast
from attm_companion.study.ranking import RankerStage
from attm_companion.study.voted_ranker import VotedRankerStage, votes_are_here

# The mini CLAP and the ranker that evaluate differ from those that train by their seeds alone.
EVALUATION_SEED_OFFSET = 1000

_by_kind = pydantic.Field(discriminator="kind")
CorpusRole = Annotated[CorpusStage | JamendoStage, _by_kind]
TextRole = Annotated[TextStage | published.FlanT5Stage, _by_kind]
ClapRole = Annotated[ClapStage | published.LaionClapStage, _by_kind]
MertRole = Annotated[MertStage | published.PublishedMertStage, _by_kind]
CodecRole = Annotated[CodecStage | published.MMAudioCodecStage, _by_kind]
SeparatorRole = Annotated[SeparatorStage | published.MdxExtraStage, _by_kind]
RankerRole = Annotated[RankerStage | published.TuneJuryStage | VotedRankerStage, _by_kind]
OracleRole = Annotated[OracleStage | published.ConceptJudgeStage, _by_kind]


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
    oracle: OracleRole | None = None


def frozen_of(cast: MiniCast | PaperCast, seed: int) -> Frozen:
    """The frozen roles of a profile: the published models and data, or stand-ins."""
    return _mini_frozen(cast, seed) if isinstance(cast, MiniCast) else _paper_frozen(cast)


def training_ranker(cast: MiniCast | PaperCast, frozen: Frozen, seed: int) -> RankerRole:
    """The ranker that scores training clips and selects: on the conditioning CLAP and MERT."""
    # MINI-WORLD: the paper's one ranker trains, selects and evaluates, so that its Reward is
    # optimised directly. The miniature has two, so that the one that reports selects nothing.
    if isinstance(cast, MiniCast):
        return _mini_ranker(cast, frozen, frozen.conditioning_clap, seed)
    return evaluation_ranker(cast, frozen, seed)


def evaluation_ranker(cast: MiniCast | PaperCast, frozen: Frozen, seed: int) -> RankerRole:
    """The ranker whose score is reported as Reward: on the evaluation CLAP and MERT.

    Of the paper's cast it is trained on the published votes where these are on this machine, and
    the released head otherwise.
    """
    if isinstance(cast, MiniCast):
        clap = frozen.evaluation_clap
        return _mini_ranker(cast, frozen, clap, seed + EVALUATION_SEED_OFFSET)
    encoders: dict[str, Any] = {"clap": frozen.evaluation_clap, "mert": frozen.mert}
    if votes_are_here():
        return VotedRankerStage(**encoders, votes=cast.votes, seed=seed)
    return published.TuneJuryStage(**encoders)


def with_concept_judge(frozen: Frozen) -> Frozen:
    """The roles as evaluation reads them: with the audio language model where it is here.

    Training data do not depend on it, so that it may come later.
    """
    judge = published.ConceptJudgeStage()
    if frozen.oracle is not None or missing_assets(judge.assets):
        return frozen
    return frozen.model_copy(update={"oracle": judge})


def _mini_frozen(cast: MiniCast, seed: int) -> Frozen:
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
            spectrograms=heard, config=cast.oracle, listeners=cast.preferences.listeners, seed=seed
        ),
    )


def _mini_ranker(cast: MiniCast, frozen: Frozen, clap: ClapRole, seed: int) -> RankerStage:
    """TuneJury trained on simulated votes, hearing through one of the two CLAP models."""
    mert, votes, config = frozen.mert, cast.preferences, cast.ranker
    assert isinstance(mert, MertStage) and isinstance(clap, ClapStage)
    heard = mert.spectrograms
    return RankerStage(
        spectrograms=heard, clap=clap, mert=mert, preferences=votes, config=config, seed=seed
    )


def _paper_frozen(cast: PaperCast) -> Frozen:
    return Frozen(
        corpus=JamendoStage(windows=cast.windows, n_samples=cast.n_samples),
        text=published.FlanT5Stage(),
        conditioning_clap=published.LaionClapStage(role="conditioning", architecture=cast.clap),
        evaluation_clap=published.LaionClapStage(role="evaluation", architecture=cast.clap),
        mert=published.PublishedMertStage(),
        codec=published.MMAudioCodecStage(vae=cast.vae, n_samples=cast.n_samples),
        separator=published.MdxExtraStage(),
    )
