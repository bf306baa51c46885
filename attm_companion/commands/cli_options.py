"""The options of ``attm generate``, ``attm score`` and ``attm submission``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

HEAD_CHOICES = ("v1", "v2", "v3", "v4", "v5")


def add_generate(subparsers: Subparsers) -> argparse.ArgumentParser:
    """``attm generate``."""
    parser = subparsers.add_parser("generate", help="music from prompts, with its scores")
    parser.add_argument("prompts", nargs="+", metavar="PROMPT", help="what it should sound like")
    parser.add_argument("--prompt", action="append", default=[], dest="more", help="one more")
    parser.add_argument("--out", type=Path, default=Path("generated"), help="folder of the clips")
    _add_model(parser)
    _add_inference(parser)
    parser.add_argument(
        "--account", action="store_true", help="also say what each part took: time, memory, weights"
    )
    return parser


def add_score(subparsers: Subparsers) -> argparse.ArgumentParser:
    """``attm score``."""
    parser = subparsers.add_parser("score", help="reward and CLAP score of audio files")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="WAV, FLAC, OGG, MP3 …")
    parser.add_argument("--prompt", default="", help="what the files should sound like")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    _add_profile(parser)
    return parser


def add_submission(subparsers: Subparsers) -> argparse.ArgumentParser:
    """``attm submission``."""
    parser = subparsers.add_parser("submission", help="the challenge's zip: one clip a prompt")
    parser.add_argument("--out", type=Path, required=True, help="the .zip to write")
    parser.add_argument("--prompts", type=Path, help=".json or .csv (default: the profile's)")
    _add_model(parser)
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, help="seed of the first prompt's noise")
    seeds.add_argument("--sub", type=int, choices=(1, 2), help="the seed of Sub. 1 or Sub. 2")
    return parser


def _add_profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile", default="mini", help="smoke, mini (default), paper or FILE.yaml"
    )
    parser.add_argument("--no-train", action="store_true", help="fail if a model is not cached")


def _add_model(parser: argparse.ArgumentParser) -> None:
    _add_profile(parser)
    parser.add_argument("--stage", choices=("sft", "expert", "crpo"), default="crpo")
    parser.add_argument(
        "--head", choices=HEAD_CHOICES, default="v1", help="whose chain (crpo runs it in v2)"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="a backbone from a file, the authors' or one of ours, instead of the study's",
    )
    source.add_argument(
        "--random-weights",
        action="store_true",
        help="untrained networks of the profile's size: no asset, no training, no music",
    )


def _add_inference(parser: argparse.ArgumentParser) -> None:
    """Options of Section III-E(a); what is left out comes from the profile."""
    parser.add_argument("--s", type=float, help="score scalar (paper: 5.0)")
    parser.add_argument("--w", type=float, help="guidance scale (paper: 4.0)")
    parser.add_argument("--steps", type=int, help="Euler steps (paper: 25)")
    parser.add_argument("--seed", type=int, help="seed of the first prompt's noise (paper: 42)")
    parser.add_argument("--negative", metavar="TEXT", help="in place of the null text")
    parser.add_argument("--prefix", metavar="TEXT", help="put before every prompt")
    parser.add_argument("--no-post", action="store_true", help="no separation, no loudness")
