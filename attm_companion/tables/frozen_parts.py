"""The quality of every frozen part, and of the ranker, with floor and ceiling (III-A, III-C)."""

from __future__ import annotations

from typing import Any

from attm_companion.paper_numbers import paper_value
from attm_companion.study.frozen import QUALITY, CorpusStage
from attm_companion.study.ranking import RankerStage
from attm_companion.study.results import Result
from attm_companion.study.stage import Stage
from attm_companion.study.study import Study
from attm_core.errors import ConfigError
from attm_core.files import read_json

EXPERIMENT = "frozen_parts"
RANKER_PAPER = {
    "accuracy_overall": "hyper.ranker.accuracy",
    "expected_calibration_error": "hyper.ranker.ece",
}


def conditions(study: Study) -> dict[str, Stage]:
    """The stages whose quality is reported."""
    frozen = study.frozen
    return {
        "conditioning_clap": frozen.conditioning_clap,
        "evaluation_clap": frozen.evaluation_clap,
        "mert": frozen.mert,
        "separator": frozen.separator,
        "ranker": study.ranker,
        "codec": frozen.codec,
    }


def tabulate(study: Study) -> Result:
    """Each part's own figures, and what the codec keeps of the CLAP score."""
    result = study.result(EXPERIMENT)
    for name in ("conditioning_clap", "evaluation_clap", "mert", "separator"):
        stage = conditions(study)[name]
        for key, value in read_json(stage.artefact(QUALITY)).items():
            if value is not None:
                result.add(f"{name}.{key}", value, _unit(key))
    _add_codec(result, study)
    _add_ranker(result, read_json(study.ranker.artefact(QUALITY)))
    _add_rewards(result, study)
    return result


def _add_codec(result: Result, study: Study) -> None:
    scores = study.anchors().scores()
    real, kept = (float(scores[name].clap.mean()) for name in ("real", "round_trip"))
    n = len(scores["real"])
    result.add("codec.clap_real", real, "cosine", n=n)
    result.add("codec.clap_round_trip", kept, "cosine", n=n)
    result.add("codec.clap_noise", float(scores["noise"].clap.mean()), "cosine", n=n)
    result.add("codec.kept", kept / real, "share of the CLAP score", n=n)


def _add_ranker(result: Result, report: dict[str, Any]) -> None:
    for key, paper in RANKER_PAPER.items():
        result.add(f"ranker.{key}", report[key], "1", n=report["n_total"], paper=paper_value(paper))
    result.add("ranker.bayes_ceiling", report["bayes_ceiling"], "1", n=report["n_total"])
    result.add("ranker.epochs", report["epochs"], "epochs")
    for source, facts in report["by_source"].items():
        result.add(f"ranker.accuracy.{source}", facts["accuracy"], "1", n=facts["n"])
    result.tables["reliability"] = report["bins"]


def _add_rewards(result: Result, study: Study) -> None:
    corpus, ranker = study.frozen.corpus, study.ranker
    if not isinstance(corpus, CorpusStage) or not isinstance(ranker, RankerStage):
        raise ConfigError(f"{EXPERIMENT} is about parts trained here, not the published ones")
    table, rewards = corpus.store().table, ranker.rewards()
    for split in ("train", "reference"):
        column = rewards.loc[table["split"] == split, "instrumental_reward_score"]
        facts = {"n": len(column)}
        paper = split == "train"
        quantiles = {"p5": column.quantile(0.05), "p95": column.quantile(0.95), "max": column.max()}
        for name, value in quantiles.items():
            cell = paper_value(f"text.reward_{name}") if paper else None
            result.add(f"reward.{split}.{name}", float(value), "reward", paper=cell, **facts)
        result.add(f"reward.{split}.mean", float(column.mean()), "reward", **facts)
    voice = table["has_voice"] & (table["split"] == "train")
    gain = (rewards["reward_score"] - rewards["instrumental_reward_score"])[voice]
    result.add(
        "reward.voice_gain", float(gain.mean()), "reward, mix minus stem", n=int(voice.sum())
    )


def _unit(key: str) -> str:
    return "dB" if key.endswith("_db") else "1"
