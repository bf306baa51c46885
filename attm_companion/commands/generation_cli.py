"""``attm generate``, ``attm score`` and ``attm submission``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attm_companion.commands import cli_options
from attm_core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from attm_companion.study.study import Study
    from attm_core.generation.clips import Cast, Clip, Heard, Request

MIN_SCORED_S = 1.0
MAX_SCORED_S = 120.0  # the ranker hears clips of 4 to 10 s; songs should be cut first
ACCOUNT = "account.json"


def add_parsers(subparsers: cli_options.Subparsers) -> None:
    """Add the three commands; each parser's ``run`` default takes the parsed arguments."""
    cli_options.add_generate(subparsers).set_defaults(run=run_generate)
    cli_options.add_score(subparsers).set_defaults(run=run_score)
    cli_options.add_submission(subparsers).set_defaults(run=run_submission)


def run_generate(args: argparse.Namespace) -> int:
    """Generate, judge and write clips with their records.

    Raises:
        InputError: unusable prompt, setting or folder.
        AssetError: a model is missing and ``--no-train`` is given.
    """
    from attm_companion.commands.account import accounted
    from attm_companion.study.study import Study
    from attm_core.generation.clips import check_folder, make_clips, write_clips

    study = Study(args.profile)
    request = _request(args, study, [*args.prompts, *args.more])
    check_folder(args.out)
    cast = _cast(args, study)
    timed, account = accounted(cast) if args.account else (cast, None)
    with account or nullcontext():
        clips = make_clips(request, timed)
    record = _record(args, request, cast)
    paths = write_clips(args.out, clips, cast.codec.sample_rate_hz, record)
    print(_clip_table(paths, clips))
    if account is not None:
        print(f"\n{account.table()}\nwritten: {account.write(args.out / ACCOUNT)}")
    return 0


def run_score(args: argparse.Namespace) -> int:
    """Print reward and, with a prompt, CLAP score of each file.

    Raises:
        InputError: a file is missing, corrupt, empty, too short or too long.
    """
    from attm_companion.commands.casting import trained_listener
    from attm_companion.study.study import Study
    from attm_core.generation.clips import check_prompt

    if args.prompt:
        check_prompt(args.prompt)
    study = Study(args.profile)
    sounds = [_mono(path) for path in args.files]  # before any training: a bad file costs nothing
    listener = trained_listener(study, not args.no_train)
    heard = [listener.listen(wave, rate, [args.prompt])[0] for wave, rate in sounds]
    print(_score_json(args, heard) if args.json else _score_table(args.files, heard))
    return 0


def run_submission(args: argparse.Namespace) -> int:
    """Generate a clip for each prompt, write the archive and verify it.

    Raises:
        InputError: unusable prompt list or path; nothing is written then.
    """
    from attm_companion.study.study import Study
    from attm_core.files import write_atomic
    from attm_core.generation.clips import check_folder, make_clips
    from attm_core.generation.submission import build_submission, verify_submission

    _check_zip(args.out)
    check_folder(args.out.parent)
    study = Study(args.profile)
    prompts = _submission_prompts(args, study)
    request = _submission_request(args, study, list(prompts.values()))
    cast = _cast(args, study)
    clips = make_clips(request, cast)
    waves = {name: clip.wave[None] for name, clip in zip(prompts, clips, strict=True)}
    record = _record(args, request, cast) | {"seed": request.seed, "prompts": prompts}

    def write(part: Path) -> None:
        build_submission(part, waves, cast.codec.sample_rate_hz, record)
        verify_submission(part, prompts)

    write_atomic(args.out, write)
    print(f"{args.out}: {verify_submission(args.out, prompts).describe()}")
    return 0


def _request(args: argparse.Namespace, study: Study, prompts: Sequence[str]) -> Request:
    from attm_core.generation.clips import Request
    from attm_core.generation.sampler import GenerationConfig

    own = study.profile.generation
    config = GenerationConfig(
        s=own.s if args.s is None else args.s,
        w=own.w if args.w is None else args.w,
        n_steps=own.n_steps if args.steps is None else args.steps,
        batch_size=own.batch_size,
    )
    return Request(
        prompts=tuple(prompts),
        config=config,
        seed=study.seed if args.seed is None else args.seed,
        prefix=own.prefix if args.prefix is None else args.prefix,
        negative=args.negative,
        post=not args.no_post,
    )


def _submission_request(args: argparse.Namespace, study: Study, prompts: list[str]) -> Request:
    """The deployed inference of Section III-E: nothing but the seed can be chosen."""
    deployed = {"s": None, "w": None, "steps": None, "prefix": None, "negative": None}
    seed = study.profile.generation.sub2_seed if args.sub == 2 else args.seed
    options = argparse.Namespace(**deployed, no_post=False, seed=seed)
    return _request(options, study, prompts)


def _cast(args: argparse.Namespace, study: Study) -> Cast:
    from attm_companion.commands.casting import given_cast, trained_cast, untrained_cast, weights_of
    from attm_companion.study.study import HEADS, SUBMITTED_FORWARD

    head, train = HEADS[args.head], not args.no_train
    if args.random_weights:
        return untrained_cast(study, head)
    if args.weights is not None:
        forward = SUBMITTED_FORWARD if args.stage == "crpo" else head
        return given_cast(study, args.weights, forward, train)
    return trained_cast(study, weights_of(study, args.stage, head), train)


def _record(args: argparse.Namespace, request: Request, cast: Cast) -> dict[str, Any]:
    from attm_core import __version__

    return {
        **request.settings(),
        "profile": args.profile,
        "stage": _origin(args),
        "head": args.head,
        "weights": cast.uid,
        "version": __version__,
    }


def _origin(args: argparse.Namespace) -> str:
    if args.random_weights:
        return "untrained"
    return args.stage if args.weights is None else "given"


def _submission_prompts(args: argparse.Namespace, study: Study) -> dict[str, str]:
    from attm_companion.commands.casting import provide
    from attm_companion.commands.prompt_lists import number_prompts, read_prompts

    if args.prompts is not None:
        return read_prompts(args.prompts)
    provide(study, [study.frozen.corpus], not args.no_train)
    return number_prompts(study.evaluation.captions(study.frozen))


def _check_zip(path: Path) -> None:
    if path.suffix.lower() != ".zip" or path.is_dir():
        raise InputError(f"{path} is not the name of a .zip file")


def _mono(path: Path) -> tuple[Tensor, int]:
    """A file as one channel (1, S), and its rate."""
    from attm_core.audio import load_audio, to_mono

    wave, rate = load_audio(path, MAX_SCORED_S)
    duration_s = wave.shape[1] / rate
    if duration_s < MIN_SCORED_S:
        raise InputError(f"{path} lasts {duration_s:.2f} s; {MIN_SCORED_S:.0f} s is the least")
    return to_mono(wave), rate


def _clip_table(paths: Sequence[Path], clips: Sequence[Clip]) -> str:
    rows = [
        (
            str(path),
            str(clip.seed),
            *_scores(clip.heard),
            clip.loudness.describe() if clip.loudness else "left as generated",
        )
        for path, clip in zip(paths, clips, strict=True)
    ]
    return text_table(("file", "seed", "reward", "CLAP", "loudness"), rows)


def _score_table(files: Sequence[Path], heard: Sequence[Heard]) -> str:
    rows = [(str(path), *_scores(item)) for path, item in zip(files, heard, strict=True)]
    return text_table(("file", "reward", "CLAP"), rows)


def _score_json(args: argparse.Namespace, heard: Sequence[Heard]) -> str:
    rows = [
        {"file": str(path), "reward": item.reward, "clap_score": item.clap}
        for path, item in zip(args.files, heard, strict=True)
    ]
    tree = {"profile": args.profile, "prompt": args.prompt or None, "files": rows}
    return json.dumps(tree, indent=1, ensure_ascii=False)


def _scores(heard: Heard | None) -> tuple[str, str]:
    reward = "–" if heard is None else f"{heard.reward:+.3f}"
    clap = "–" if heard is None or heard.clap is None else f"{heard.clap:.3f}"
    return reward, clap


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns of plain text.

    >>> print(text_table(("a", "b"), [("long", "x")]))
    a     b
    long  x
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    )
    return "\n".join(lines)
