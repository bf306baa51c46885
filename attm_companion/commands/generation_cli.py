"""``attm generate``, ``attm score`` and ``attm submission``."""

import argparse
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from attm_companion.commands import casting
from attm_companion.commands.casting import Loaded
from attm_companion.commands.prompt_lists import number_prompts, read_prompts
from attm_companion.study.chain import Weights
from attm_companion.study.study import Study
from attm_core import __version__
from attm_core.audio import load_audio, save_audio, to_mono
from attm_core.configuration import GenerationConfig, check_prompt
from attm_core.constants import HEADS, SUBMITTED_FORWARD, HeadName
from attm_core.errors import InputError
from attm_core.evaluation.clap_score import cosine_per_item
from attm_core.files import write_json
from attm_core.generation.pipeline import Clips, generate
from attm_core.generation.sampler import prompt_seeds
from attm_core.generation.submission import write_submission
from attm_core.ranker.reward_model import RewardModel, embed_audio

MIN_SCORED_S = 1.0
MAX_SCORED_S = 120.0  # the ranker hears clips of 4 to 10 s; songs should be cut first
SLUG_CHARACTERS = 40
Scores = list[tuple[float | None, float | None]]  # reward and CLAP score, where there are any


def run_generate(args: argparse.Namespace) -> int:
    """Generate, score and write clips with their records.

    Raises:
        AttmError: unusable prompt, setting or folder; or a model is missing under ``--no-train``.
    """
    study = Study(args.profile)
    prompts = [check_prompt(text) for text in (*args.prompts, *args.more)]
    config = _config(args, study)
    seeds = prompt_seeds(study.seed if args.seed is None else args.seed, len(prompts))
    _check_folder(args.out)
    loaded = _load(args, study)
    clips = generate(loaded.model, prompts, config, loaded.networks, seeds)
    rate = clips.sample_rate_hz
    scores: Scores = [(None, None)] * len(clips)
    if loaded.reward is not None:
        scores = _scores(loaded.reward, clips.waves, rate, prompts)
    paths = _write_clips(args.out, clips, scores, _record(args, config, loaded))
    levels = [report.describe() if report else "left as generated" for report in clips.loudness]
    _print_table(paths, scores, seed=seeds, loudness=levels)
    return 0


def run_score(args: argparse.Namespace) -> int:
    """Print reward and, with a prompt, CLAP score of each file; ``InputError`` at a bad one."""
    if args.prompt:
        check_prompt(args.prompt)
    study = Study(args.profile)
    sounds = [_mono(path) for path in args.files]  # before any training: a bad file costs nothing
    reward = casting.trained_reward(study, not args.no_train)
    scores = [_scores(reward, wave[None], rate, [args.prompt])[0] for wave, rate in sounds]
    if args.json:
        pairs = zip(map(str, args.files), scores, strict=True)
        files = [{"file": name, "reward": one, "clap_score": fit} for name, (one, fit) in pairs]
        tree = {"profile": args.profile, "prompt": args.prompt or None, "files": files}
        print(json.dumps(tree, indent=1, ensure_ascii=False))
    else:
        _print_table(args.files, scores)
    return 0


def run_submission(args: argparse.Namespace) -> int:
    """Generate a clip for each prompt and write the archive, by the deployed inference.

    Raises:
        InputError: unusable prompt list, id, seed or path; nothing is generated then.
    """
    if args.out.suffix.lower() != ".zip" or args.out.is_dir():
        raise InputError(f"{args.out} is not the name of a .zip file")
    _check_folder(args.out.parent)
    study = Study(args.profile)
    prompts = _submission_prompts(args, study)
    texts = list(prompts.values())
    generation = study.profile.generation
    own = generation.sub2_seed if args.sub == 2 else study.seed
    seed = own if args.seed is None else args.seed
    seeds, config = prompt_seeds(seed, len(texts)), generation.config(generation.s)
    loaded = _load(args, study)
    clips = generate(loaded.model, texts, config, loaded.networks, seeds)
    waves = dict(zip(prompts, clips.waves, strict=True))
    record = _record(args, config, loaded) | {"seed": seed, "prompts": prompts}
    write_submission(args.out, waves, clips.sample_rate_hz, record)
    seconds = clips.waves.shape[-1] / clips.sample_rate_hz
    print(f"{args.out}: {len(clips)} clips of {seconds:.3f} s at {clips.sample_rate_hz} Hz")
    return 0


def _config(args: argparse.Namespace, study: Study) -> GenerationConfig:
    """The profile's inference with the options that were given."""
    named = {"s": args.s, "w": args.w, "n_steps": args.steps, "prefix": args.prefix}
    changes = {name: value for name, value in named.items() if value is not None}
    config = replace(study.evaluation.config, negative_prompt=args.negative, **changes)
    return config.without_postprocessing() if args.no_post else config


def _load(args: argparse.Namespace, study: Study) -> Loaded:
    head, train = HEADS[args.head], not args.no_train
    if args.random_weights:
        return casting.untrained(study, head)
    if args.weights is not None:
        forward = SUBMITTED_FORWARD if args.stage == "crpo" else head
        return casting.given(study, args.weights, forward, train)
    stages: dict[str, Callable[[HeadName], Weights]]
    stages = {"sft": study.sft, "expert": study.expert, "crpo": study.crpo}
    return casting.trained(study, stages[args.stage](head), train)


def _record(args: argparse.Namespace, config: GenerationConfig, loaded: Loaded) -> dict[str, Any]:
    origin = args.stage if args.weights is None else "given"
    return {
        **asdict(config),
        "profile": args.profile,
        "stage": "untrained" if args.random_weights else origin,
        "head": args.head,
        "weights": loaded.uid,
        "version": __version__,
    }


def _submission_prompts(args: argparse.Namespace, study: Study) -> dict[str, str]:
    if args.prompts is not None:
        return read_prompts(args.prompts)
    casting.provide(study, [study.frozen.corpus], not args.no_train)
    return number_prompts(study.evaluation.captions(study.frozen))


def _scores(reward: RewardModel, waves: Tensor, rate: int, prompts: Sequence[str]) -> Scores:
    """Reward and, under a prompt, CLAP score of each clip."""
    audio = embed_audio(reward.clap, waves, rate)
    rewards = reward.score(waves, rate, prompts, audio).tolist()
    fits = cosine_per_item(reward.clap.embed_text(prompts), audio).tolist()
    rows = zip(rewards, fits, prompts, strict=True)
    return [(value, fit if prompt else None) for value, fit, prompt in rows]


def _write_clips(folder: Path, clips: Clips, scores: Scores, record: dict[str, Any]) -> list[Path]:
    """Write each clip as ``<words>-<hash>.wav`` with ``<words>-<hash>.json`` beside it.

    The hash covers prompt, seed and ``record``: the same request gives the same names, another
    request never overwrites them. The JSON is written after its WAV, so a record has its audio.
    """
    paths = []
    for row, (prompt, seed) in enumerate(zip(clips.prompts, clips.seeds, strict=True)):
        identity = json.dumps([prompt, seed, record], sort_keys=True).encode()
        words = re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")[:SLUG_CHARACTERS].strip("-")
        path = folder / f"{words or 'clip'}-{sha256(identity).hexdigest()[:8]}.wav"
        # Without loudness normalisation a sample may exceed ±1, which 16-bit files clip.
        paths.append(save_audio(path, clips.waves[row], clips.sample_rate_hz, "PCM_16"))
        report, (reward, fit) = clips.loudness[row], scores[row]
        levels = None if report is None else asdict(report).items()
        facts = {
            "prompt": prompt,
            "seed": seed,
            "reward": reward,
            "clap_score": fit,
            "loudness": levels and {k: None if v == -math.inf else v for k, v in levels},  # silence
            "sample_rate_hz": clips.sample_rate_hz,
            "file": path.name,
        }
        write_json(path.with_suffix(".json"), {**record, **facts})
    return paths


def _check_folder(folder: Path) -> None:
    """Refuse a folder that is, or lies below, a file."""
    place = next(place for place in (folder, *folder.parents) if place.exists())
    if not place.is_dir():
        raise InputError(f"{place} is a file; name a folder with --out")


def _mono(path: Path) -> tuple[Tensor, int]:
    """A file as one channel (1, S), and its rate."""
    if not path.exists():
        raise InputError(f"there is no file {path}")
    wave, rate = load_audio(path, MAX_SCORED_S)
    duration_s = wave.shape[1] / rate
    if duration_s < MIN_SCORED_S:
        raise InputError(f"{path} lasts {duration_s:.2f} s; {MIN_SCORED_S:.0f} s is the least")
    return to_mono(wave), rate


def _print_table(files: Sequence[Path], scores: Scores, **columns: Sequence[object]) -> None:
    reward, fit = zip(*scores, strict=True)
    shown = {
        "reward": ["–" if value is None else f"{value:+.3f}" for value in reward],
        "CLAP": ["–" if value is None else f"{value:.3f}" for value in fit],
    }
    table = pd.DataFrame({"file": list(map(str, files)), **shown, **columns})
    print(table.to_string(index=False))
