"""``attm study --dry-run``: every stage with its configuration, its cost, and what it lacks.

Cost is the number of calls of each part times what a call of it takes at full size, measured by
``benchmarks/parts.py``: a call is one caption, one 10-s clip, or one clip's part of a training
step. Hours are given at the rate that the paper's own 32 hours for Stage 1 imply, and on the
machine that measured the parts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from attm_companion.assets import missing_assets
from attm_companion.paper_numbers import paper_value
from attm_companion.study.chain import CrpoStage, ExpertStage, SFTStage
from attm_companion.study.conditions import ANCHORS, AnchorStage, ConditionStage
from attm_companion.study.features import ShardedFeaturesStage
from attm_companion.study.profile import Generation, PaperCast, places
from attm_companion.study.stage import Stage, ancestry
from attm_companion.study.study import Study
from attm_companion.tables.experiments import all_stages
from attm_core.configuration import TrainConfig
from attm_core.files import read_json

PARTS_FILE = Path(__file__).parents[2] / "results" / "benchmarks" / "parts.json"
HOUR_S = 3600.0
GIGA, PETA = 1e9, 1e15
GUIDED = 2  # velocity evaluations a guided step: with and without conditions
SIDES = 2  # winner and loser
JUDGED = Counter(clap_audio=1, mert=1, clap_text=1)  # reward and CLAP score of one clip
DECODED = Counter(vae_decode=1, vocoder=1)


@dataclass(frozen=True)
class Prices:
    """What one call takes: ``gflop``, 10⁹ operations, and ``cpu_s``, seconds where measured."""

    parts: Mapping[str, Mapping[str, float]]

    @classmethod
    def read(cls, path: Path = PARTS_FILE) -> Self | None:
        """The committed measurement; None without it (an installed package has no results)."""
        return cls(read_json(path)["parts"]) if path.is_file() else None

    def flop(self, work: Counter[str]) -> float:
        """Operations of some calls."""
        return GIGA * sum(count * self.parts[part]["gflop"] for part, count in work.items())

    def cpu_hours(self, work: Counter[str]) -> float:
        """Hours of some calls, one after the other, on the measured machine."""
        return sum(count * self.parts[part]["cpu_s"] for part, count in work.items()) / HOUR_S

    def gpu_hours(self, work: Counter[str]) -> float:
        """Hours at the rate of the paper's Stage 1, in which 200 K steps of 64 clips took 32."""
        steps, batch, hours = (
            paper_value(f"hyper.stage1.{name}") for name in ("updates", "batch_size", "hours")
        )
        return hours * self.flop(work) / self.flop(Counter(training_step=int(steps * batch)))


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
            judged = _times(len(ANCHORS), JUDGED + Counter(separation=1))
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


@dataclass(frozen=True)
class Planned:
    """One stage as it stands: its work, empty where its cast has no price, and what it lacks."""

    stage: Stage
    work: Counter[str]
    missing: tuple[str, ...]


def plan(study: Study) -> list[Planned]:
    """Every stage of a study, dependencies first."""
    priced = isinstance(study.profile.cast, PaperCast)  # other casts have other sizes
    return [
        Planned(stage, work_of(stage) if priced else Counter(), tuple(missing_assets(stage.assets)))
        for stage in ancestry(all_stages(study))
    ]


def configuration(stage: Stage) -> dict[str, Any]:
    """A stage's own settings, flat, and the labels of its inputs; not where it runs."""
    labels = {parent.uid: parent.label for parent in stage.parents}
    return {
        place: labels.get(str(value), value)
        for place, value in places(stage.inputs())
        if not place.endswith("kind") and ("." not in place or str(value) not in labels)
    }


def describe_cost(work: Counter[str], prices: Prices) -> str:
    """Operations and hours of some calls, in words."""
    hours = (hours_in_words(prices.gpu_hours(work)), hours_in_words(prices.cpu_hours(work)))
    pflop = prices.flop(work) / PETA
    return f"{pflop:,.1f} PFLOP, {hours[0]} on the paper's GPU, {hours[1]} on two cores"


def hours_in_words(hours: float) -> str:
    """A duration with two or three digits.

    >>> hours_in_words(0.02), hours_in_words(1.5), hours_in_words(12345.6)
    ('1.2 min', '1.5 h', '12,346 h')
    """
    if hours < 1:
        return f"{60 * hours:.1f} min"
    return f"{hours:,.1f} h" if hours < 100 else f"{hours:,.0f} h"


def report(study: Study) -> Iterator[str]:
    """The lines of the dry run: stages, totals, missing assets."""
    planned, prices = plan(study), Prices.read()
    waiting = []
    for item in planned:
        stage, done = item.stage, item.stage.done
        waiting += [] if done else [item]
        yield f"{'cached ' if done else 'to run '} {stage.label}  [{stage.uid}]"
        if settings := configuration(stage):
            yield "         " + ", ".join(f"{key}={value!r}" for key, value in settings.items())
        if item.work and prices is not None and not done:
            yield f"         about {describe_cost(item.work, prices)}"
        if item.missing:
            yield f"         missing: {', '.join(item.missing)}"
    yield f"{len(planned)} stages, {len(waiting)} to run"
    total = sum((item.work for item in waiting), Counter[str]())
    if total and prices is not None:
        yield f"in all about {describe_cost(total, prices)}"
    elif total:
        yield f"cost unknown: {PARTS_FILE.name} is made by benchmarks/parts.py in the repository"
    lacking = sorted({name for item in planned for name in item.missing})
    if lacking:
        where = f"`attm doctor --profile {study.profile.name}` says where they come from"
        yield f"missing assets: {', '.join(lacking)}; {where}"
