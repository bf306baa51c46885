"""What the ``attm`` command takes: every subcommand with its options.

What a subcommand runs is named here and imported when it runs, so that ``attm --help`` is quick.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from attm_core import __version__
from attm_core.constants import HEADS

MAX_JOBS = 1024


def build_parser() -> argparse.ArgumentParser:
    """The parser; a subcommand's default ``run`` takes the options and gives the exit code."""
    words = "The `attm` command: study, notebooks, book, generate, score, claims, assets and more."
    parser = argparse.ArgumentParser(prog="attm", description=words)
    parser.add_argument("--version", action="version", version=f"attm-companion {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_study, _add_seeds, _add_book, _add_generate, _add_scores, _add_checks):
        add(commands)
    return parser


def _command(commands: Any, name: str, place: str, words: str) -> argparse.ArgumentParser:
    """A subcommand that runs the function at a place below ``attm_companion``."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words)
    parser.set_defaults(run=lambda options: resolve_name(f"attm_companion.{place}")(options))
    return parser


def _add_study(commands: Any) -> None:
    words = "run all stages and write results/<profile>/"
    study = _command(commands, "study", "commands.study_cli:run_study", words)
    _add_profile(study)
    study.add_argument("--seed", type=int, help="training seed instead of the profile's")
    study.add_argument(
        "--set", default="", metavar="PLACE=VALUE,…",
        help="other numbers than the profile's, such as crpo.beta=200; results get their own name",
    )  # fmt: skip
    _add_jobs(study)
    study.add_argument("--only", metavar="EXPERIMENT", help="one experiment and what it needs")
    words = "every stage, its settings, cost and missing assets; runs nothing"
    study.add_argument("--dry-run", action="store_true", help=words)
    words = "what is missing, and what would run"
    _add_profile(_command(commands, "doctor", "commands.doctor:run_doctor", words))


def _add_seeds(commands: Any) -> None:
    words = "train under several seeds on the same frozen parts; judge the mechanisms"
    seeds = _command(commands, "seeds", "commands.study_cli:run_seeds", words)
    words = "ask what the paper left open; uses what `attm seeds` has cached"
    opened = _command(commands, "open", "commands.study_cli:run_open", words)
    for parser, known in ((seeds, list(range(1, 9))), (opened, [1, 2])):
        _add_profile(parser)
        parser.add_argument(
            "--seeds", type=whole(0, 2**63 - 1), nargs="+", default=known, metavar="SEED"
        )
        _add_jobs(parser)


def _add_book(commands: Any) -> None:
    words = "execute the notebooks that changed"
    notebooks = _command(commands, "notebooks", "book.cli:run_notebooks", words)
    _add_profile(notebooks)
    notebooks.add_argument("--only", action="append", default=[], metavar="NAME")
    words = "how many at a time (default 2)"
    notebooks.add_argument("--jobs", type=whole(1, MAX_JOBS), default=2, help=words)
    notebooks.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
        help="a parameter of the notebooks; an unknown name or another type is an error",
    )  # fmt: skip
    words = "build the book from executed notebooks"
    _add_profile(_command(commands, "book", "book.cli:run_book", words))


def _add_generate(commands: Any) -> None:
    words = "music from prompts, with its scores"
    generate = _command(commands, "generate", "commands.generation_cli:run_generate", words)
    generate.add_argument("prompts", nargs="+", metavar="PROMPT", help="how it should sound")
    generate.add_argument("--prompt", dest="more", action="append", default=[], help="one more")
    generate.add_argument("--out", type=Path, default=Path("generated"), metavar="FOLDER")
    _add_model(generate)
    generate.add_argument("--s", type=float, help="score scalar (paper: 5.0)")
    generate.add_argument("--w", type=float, help="guidance scale (paper: 4.0)")
    generate.add_argument("--steps", type=int, help="Euler steps (paper: 25)")
    generate.add_argument("--seed", type=int, help="seed of the first prompt's noise (paper: 42)")
    generate.add_argument("--negative", metavar="TEXT", help="in place of the null text")
    generate.add_argument("--prefix", metavar="TEXT", help="put before every prompt")
    generate.add_argument("--no-post", action="store_true", help="no separation, no loudness")


def _add_scores(commands: Any) -> None:
    words = "reward and CLAP score of audio files"
    score = _command(commands, "score", "commands.generation_cli:run_score", words)
    score.add_argument("files", nargs="+", type=Path, metavar="FILE", help="WAV, FLAC, OGG, MP3 …")
    score.add_argument("--prompt", default="", help="what the files should sound like")
    score.add_argument("--json", action="store_true", help="print JSON instead of a table")
    _add_trained(score)
    words = "the challenge's zip: a clip per prompt"
    submission = _command(commands, "submission", "commands.generation_cli:run_submission", words)
    submission.add_argument("--out", type=Path, required=True, help="the .zip to write")
    submission.add_argument("--prompts", type=Path, help=".json or .csv (default: the profile's)")
    _add_model(submission)
    seeds = submission.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, help="seed of the first prompt's noise")
    seeds.add_argument("--sub", type=int, choices=(1, 2), help="the seed of Sub. 1 or Sub. 2")


def _add_checks(commands: Any) -> None:
    words = "check every statement of the paper"
    claims = _command(commands, "claims", "ledger.cli:run_claims", words)
    words = "folder of the public release (default: ATTM_RELEASED_DIR, else committed figures)"
    claims.add_argument("--released", type=Path, help=words)
    claims.add_argument("--results", type=Path, default=Path("results"), help="folder of results")
    words = "also write released_audit.json, the summary that stands in where the release is not"
    claims.add_argument("--commit-audit", action="store_true", help=words)
    claims.add_argument("--show", metavar="VERDICT", help="list the lines with this verdict")
    assets = commands.add_parser("assets", help="list, fetch and verify checkpoints and data")
    actions = assets.add_subparsers(dest="action", required=True)
    _command(actions, "list", "commands.assets_cli:run_list", "what there is, its licence and size")
    words = "compare sizes and digests with the manifest"
    for action in (
        _command(actions, "fetch", "commands.assets_cli:run_fetch", "download and verify"),
        _command(actions, "verify", "commands.assets_cli:run_verify", words),
    ):
        action.add_argument("names", nargs="+", metavar="NAME", help="see `attm assets list`")
        action.add_argument("--to", type=Path, help="folder (default: one per asset)")
    words = "verdict by verdict and number by number: two runs, or one and expectation"
    compare = _command(commands, "compare", "commands.compare_cli:run_compare", words)
    compare.add_argument("first", metavar="A", help="a run: the name of a folder below results/")
    words = "another; without it, what results/expected.json expects of A"
    compare.add_argument("second", metavar="B", nargs="?", help=words)
    words = "write A's verdicts and checksums into results/expected.json"
    compare.add_argument("--write", action="store_true", help=words)


def _add_profile(parser: argparse.ArgumentParser) -> None:
    words = "smoke, mini (default), paper or FILE.yaml"
    parser.add_argument("--profile", default="mini", help=words)


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    words = "worker processes; the number of cores if left out"
    parser.add_argument("--jobs", type=whole(1, MAX_JOBS), help=words)


def _add_trained(parser: argparse.ArgumentParser) -> None:
    _add_profile(parser)
    parser.add_argument("--no-train", action="store_true", help="fail if a model is not cached")


def _add_model(parser: argparse.ArgumentParser) -> None:
    _add_trained(parser)
    parser.add_argument("--stage", choices=("sft", "expert", "crpo"), default="crpo")
    words = "whose chain (crpo runs it in v2)"
    parser.add_argument("--head", choices=tuple(HEADS), default="v1", help=words)
    source = parser.add_mutually_exclusive_group()
    words = "a backbone from a file, the authors' or one of ours, instead of the study's"
    source.add_argument("--weights", type=Path, metavar="FILE", help=words)
    words = "untrained networks of the profile's size: no asset, no training, no music"
    source.add_argument("--random-weights", action="store_true", help=words)


def whole(low: int, high: int) -> Callable[[str], int]:
    """Whole numbers from ``low`` to ``high``; argparse makes a usage error of a ValueError."""

    def whole_number(text: str) -> int:
        if not low <= int(text) <= high:
            raise ValueError(text)
        return int(text)

    return whole_number
