"""How good each instrument of a study is, on clips it has not learnt from.

python benchmarks/instruments.py --profile mini

Reads the study's cache ($ATTM_CACHE); makes nothing itself. One line per figure, so that two runs
can be compared with diff.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch

from attm_companion.study.frozen import QUALITY
from attm_companion.study.study import Study
from attm_companion.world.tuning import cents_off_scale
from attm_core.evaluation.clap_score import cosine_per_item
from attm_core.files import read_json
from attm_core.generation.separation import remove_vocals
from attm_core.ranker.reward_model import embed_audio

Row = tuple[str, float, str]
LEVELS_DBFS = (-30, -20, -10)


def codec_rows(study: Study, waves: torch.Tensor, captions: list[str]) -> Iterator[Row]:
    """What a round trip keeps of Reward and CLAP score, and whether level is heard."""
    codec, rate = study.frozen.codec.model(), study.frozen.corpus.sample_rate_hz
    again = torch.cat([codec.decode(codec.encode(part)[0]) for part in waves.split(50)])
    clap = study.frozen.evaluation_clap.model()
    text = clap.embed_text(captions)
    scored = {}
    for name, some in (("real", waves), ("round_trip", again)):
        audio = embed_audio(clap, some, rate)
        scored[name] = float(cosine_per_item(text, audio).mean())
        yield f"clap.{name}", scored[name], "cosine"
        for role in ("evaluation", "training"):
            ranker = study.ranker if role == "evaluation" else study.training_ranker
            reward = float(ranker.reward_model.score(some, rate, captions).mean())
            scored[f"{name}.{role}"] = reward
            yield f"reward.{role}.{name}", reward, "reward"
    yield "codec.clap_kept", scored["round_trip"] / scored["real"], "share"
    for role in ("evaluation", "training"):
        kept = scored[f"round_trip.{role}"] / scored[f"real.{role}"]
        yield f"codec.reward_kept.{role}", kept, "share"
    for name, some in (("real", waves), ("round_trip", again)):
        yield f"tuning.{name}", cents_off_scale(some, rate), "cents"


def level_rows(study: Study, waves: torch.Tensor, captions: list[str]) -> Iterator[Row]:
    """Reward of the same clips at several levels."""
    unit = waves / waves.square().mean(dim=(1, 2), keepdim=True).sqrt()
    for dbfs in LEVELS_DBFS:
        loud = unit * 10 ** (dbfs / 20)
        score = study.ranker.reward_model.score(loud, study.frozen.corpus.sample_rate_hz, captions)
        yield f"reward.at_{dbfs}_dbfs", float(score.mean()), "reward"


def validity_rows(study: Study, waves: torch.Tensor, captions: list[str]) -> Iterator[Row]:
    """Correlation of Reward with the hidden quality, and what the separator does to Reward."""
    corpus, model = study.frozen.corpus, study.ranker.reward_model
    quality = corpus.store().table["quality"].to_numpy()[corpus.rows("prompts")]
    reward = model.score(waves, corpus.sample_rate_hz, captions).numpy()
    yield "reward.r_with_quality", float(np.corrcoef(reward, quality)[0, 1]), "r"
    left = remove_vocals(waves, study.frozen.separator.model())
    after = model.score(left, corpus.sample_rate_hz, captions).numpy()
    yield "separator.reward_cost", float(reward.mean() - after.mean()), "reward"
    yield "separator.r_with_quality", float(np.corrcoef(after, quality)[0, 1]), "r"


def stored_rows(study: Study) -> Iterator[Row]:
    """What the stages measured of themselves."""
    frozen = study.frozen
    separator = read_json(frozen.separator.artefact(QUALITY))
    yield "separator.gain_sung", separator["three_passes_db"] - separator["untouched_db"], "dB"
    yield "separator.clean", separator["clean_db"], "dB"
    yield "mert.r2_quality", read_json(frozen.mert.artefact(QUALITY))["r2"], "R2"
    for name in ("conditioning_clap", "evaluation_clap"):
        quality = read_json(getattr(frozen, name).artefact(QUALITY))
        yield f"{name}.median_rank", quality["median_rank"], "rank"
        yield f"{name}.matched_minus_shuffled", quality["matched"] - quality["shuffled"], "cosine"
    for name, ranker in (("evaluation", study.ranker), ("training", study.training_ranker)):
        report = read_json(ranker.artefact(QUALITY))
        for key in ("accuracy_overall", "bayes_ceiling", "accuracy_coded", "bayes_ceiling_coded"):
            yield f"ranker.{name}.{key}", report[key], "share"
        yield f"ranker.{name}.ece", report["expected_calibration_error"], "1"
    for version, report in read_json(frozen.oracle.artefact(QUALITY)).items():
        for name, value in report["r2"].items():
            yield f"oracle.{version}.r2.{name}", value, "R2"
        accuracy = list(report["accuracy"].values())
        yield f"oracle.{version}.concepts", float(np.mean(accuracy)), "balanced accuracy"


def cost_rows(study: Study) -> Iterator[Row]:
    """CPU seconds of each part."""
    frozen = study.frozen
    parts = [getattr(frozen, name) for name in type(frozen).model_fields]
    stages = [*parts, frozen.mert.spectrograms, study.ranker, study.training_ranker]
    for stage in stages:
        yield f"cost.{stage.uid.split('-')[0]}", stage.record()["cpu_s"], "CPU s"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="mini")
    study = Study(parser.parse_args().profile)
    torch.set_num_threads(1)
    corpus = study.frozen.corpus
    waves, captions = corpus.waves("prompts"), corpus.captions("prompts")
    for rows in (codec_rows, level_rows, validity_rows):
        for name, value, unit in rows(study, waves, captions):
            print(f"{name:44s} {value:9.3f} {unit}", flush=True)
    for rows in (stored_rows, cost_rows):
        for name, value, unit in rows(study):
            print(f"{name:44s} {value:9.3f} {unit}", flush=True)


if __name__ == "__main__":
    main()
