"""How much a stage asks of each part of the system, in calls; `attm study --dry-run` prices it.

A call is one caption, one 10-s clip, or one clip's part of a training step; `benchmarks/parts.py`
measures what a call of each part costs at full size.
"""

from collections import Counter

from attm_companion.paper_numbers import paper_value
from attm_companion.study.chain import CrpoStage, ExpertStage, SFTStage
from attm_companion.study.conditions import AnchorStage, ConditionStage
from attm_companion.study.features import ShardedFeaturesStage
from attm_companion.study.profile import Generation
from attm_companion.study.stage import Stage
from attm_core.configuration import TrainConfig

GUIDED = 2  # velocity evaluations a guided step: with and without conditions
SIDES = 2  # winner and loser
JUDGED = Counter(clap_audio=1, mert=1, clap_text=1)  # reward and CLAP score of one clip
DECODED = Counter(vae_decode=1, vocoder=1)
ANCHORS = 4


def work_of(stage: Stage) -> Counter[str]:
    """Part → number of calls; empty where a stage only reads or compares files."""
    match stage:
        case ShardedFeaturesStage():
            # The number of clips is known once the audio is here; until then it is the paper's.
            clips, tracks = (int(paper_value(f"hyper.data.{name}")) for name in ("clips", "tracks"))
            stems = _times(clips, Counter(separation=1, vae_encode=1, mert=2))
            return stems + Counter(clap_audio=2 * clips, text=tracks, clap_text=2 * tracks)
        case SFTStage():
            return _training(stage.training)
        case ExpertStage(config=config):
            sampled = _sampled(config.n_samples, stage.generation)
            return sampled + _training(config.finetune) + _training(config.polish)
        case CrpoStage(config=config):
            sampled = _sampled(config.n_prompts * config.n_per_prompt, stage.generation)
            both = _times(SIDES, _training(config.training))
            return sampled + both + Counter(velocity=both["training_step"])  # frozen reference
        case ConditionStage(protocol=protocol):
            one = Counter(text=1, velocity=protocol.config.n_steps * GUIDED) + DECODED + JUDGED
            separated = Counter(separation=protocol.config.n_passes + protocol.vocals)
            return _times(protocol.n_prompts, one + separated)
        case AnchorStage(protocol=protocol):
            judged = _times(ANCHORS, JUDGED + Counter(separation=1))
            made = _times(2, DECODED) + Counter(vae_encode=1)
            reference = Counter(clap_audio=int(paper_value("text.sdd_reference_tracks")))
            return _times(protocol.n_prompts, judged + made) + reference
    return Counter()


def _sampled(n: int, generation: Generation) -> Counter[str]:
    return _times(n, Counter(text=1, velocity=generation.n_steps * GUIDED) + DECODED + JUDGED)


def _training(training: TrainConfig) -> Counter[str]:
    return Counter(training_step=training.n_steps * training.batch_size)


def _times(n: int, calls: Counter[str]) -> Counter[str]:
    return Counter({part: n * count for part, count in calls.items()})
