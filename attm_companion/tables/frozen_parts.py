"""The quality of every frozen part, and of the ranker, with floor and ceiling (III-A, III-C)."""

from typing import Any

from attm_companion.paper_numbers import paper_value
from attm_companion.study.frozen import QUALITY, CorpusStage
from attm_companion.study.ranking import RankerStage
from attm_companion.study.results import Result
from attm_companion.study.stage import Stage
from attm_companion.study.study import Study
from attm_core.errors import ConfigError
from attm_core.files import read_json

BIN = "reliability bin"
RANKER_PAPER = {
    "accuracy_overall": "hyper.ranker.accuracy",
    "expected_calibration_error": "hyper.ranker.ece",
}


def conditions(study: Study) -> dict[str, Stage]:
    """The stages whose quality is reported."""
    frozen = study.frozen
    oracle = {} if frozen.oracle is None else {"oracle": frozen.oracle}
    return {
        "conditioning_clap": frozen.conditioning_clap,
        "evaluation_clap": frozen.evaluation_clap,
        "mert": frozen.mert,
        "separator": frozen.separator,
        "ranker": study.ranker,
        "training_ranker": study.training_ranker,
        "codec": frozen.codec,
        **oracle,
    }


def tabulate(study: Study) -> Result:
    """Each part's own figures, and what the codec keeps of the CLAP score."""
    result = study.result("frozen_parts")
    for name in ("conditioning_clap", "evaluation_clap", "mert", "separator"):
        stage = conditions(study)[name]
        for key, value in read_json(stage.artefact(QUALITY)).items():
            if value is not None:
                result.add(name, key, value, "dB" if key.endswith("_db") else "1")
    _add_codec(result, study)
    _add_ranker(result, read_json(study.ranker.artefact(QUALITY)))
    _add_oracle(result, conditions(study))
    _add_rewards(result, study)
    return result


def _add_codec(result: Result, study: Study) -> None:
    scores = study.anchors().scores()
    n = len(scores["real"])
    for name in ("real", "round_trip", "noise"):
        result.add("codec", f"clap_{name}", float(scores[name].clap.mean()), "cosine", n=n)
    kept = result["clap_round_trip of codec"].value / result["clap_real of codec"].value
    result.add("codec", "kept", kept, "share of the CLAP score", n=n)


def _add_ranker(result: Result, report: dict[str, Any]) -> None:
    for key, paper in RANKER_PAPER.items():
        facts = {"n": report["n_total"], "paper": paper_value(paper)}
        result.add("ranker", key, report[key], "1", **facts)
    result.add("ranker", "bayes_ceiling", report["bayes_ceiling"], "1", n=report["n_total"])
    result.add("ranker", "epochs", report["epochs"], "epochs")
    for source, facts in report["by_source"].items():
        result.add(f"ranker on {source}", "accuracy", facts["accuracy"], "1", n=facts["n"])
    for number, facts in enumerate(report["bins"]):
        for key in sorted(facts.keys() - {"bin", "n"}):
            result.add(f"{BIN} {number}", key, facts[key], "1", n=facts["n"])


def _add_oracle(result: Result, stages: dict[str, Stage]) -> None:
    """What the oracle tells of held-out clips: R² of the hidden quality, accuracy per concept."""
    if "oracle" not in stages:
        return
    for version, facts in read_json(stages["oracle"].artefact(QUALITY)).items():
        result.add("oracle", f"r2_{version}", facts["r2"]["quality"], "1")
        for concept, accuracy in facts["accuracy"].items():
            result.add(f"oracle on {concept}", f"accuracy_{version}", accuracy, "1")


def _add_rewards(result: Result, study: Study) -> None:
    corpus, ranker = study.frozen.corpus, study.training_ranker
    if not isinstance(corpus, CorpusStage) or not isinstance(ranker, RankerStage):
        raise ConfigError("frozen_parts is about parts trained here, not the published ones")
    table, rewards = corpus.store().table, ranker.rewards()
    for split in ("train", "reference"):
        column = rewards.loc[table["split"] == split, "instrumental_reward_score"]
        quantiles = {"p5": column.quantile(0.05), "p95": column.quantile(0.95), "max": column.max()}
        for name, value in quantiles.items():
            paper = paper_value(f"text.reward_{name}") if split == "train" else None
            facts = {"n": len(column), "paper": paper}
            result.add(f"{split} clips", f"reward_{name}", float(value), "reward", **facts)
        result.add(f"{split} clips", "reward_mean", float(column.mean()), "reward", n=len(column))
    voice = table["has_voice"] & (table["split"] == "train")
    gain = (rewards["reward_score"] - rewards["instrumental_reward_score"])[voice]
    unit = "reward, mix minus stem"
    result.add("train clips with voice", "gain", float(gain.mean()), unit, n=int(voice.sum()))
