"""``attm seeds`` and ``attm open``: the chain under several training seeds, and open questions."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from attm_companion.commands import add_jobs, add_profile, seed


def add_parsers(subparsers: Any) -> None:
    """Add the subcommands."""
    known = (
        ("seeds", "train under several seeds on the same frozen parts; judge the mechanisms", 8),
        ("open", "ask what the paper left open; uses what `attm seeds` has cached", 2),
    )
    for (name, words, n_seeds), run in zip(known, (run_seeds, run_open), strict=True):
        parser = subparsers.add_parser(name, help=words)
        add_profile(parser)
        default = list(range(1, n_seeds + 1))
        parser.add_argument("--seeds", type=seed, nargs="+", default=default, metavar="SEED")
        add_jobs(parser)
        parser.set_defaults(run=run)


def run_seeds(options: argparse.Namespace) -> int:
    """Run, or go on with, all seeds; the table is written again after every group of them."""
    from attm_companion.study.seed_study import TIERS
    from attm_companion.tables.training_seeds import write_seeds

    return _run(options, TIERS, write_seeds)


def run_open(options: argparse.Namespace) -> int:
    """Ask, or go on asking, the open questions; the table is written again after each of them."""
    from attm_companion.study.open_questions import TIERS
    from attm_companion.tables.open_questions import write_open

    return _run(options, TIERS, write_open)


def _run(options: argparse.Namespace, tiers: Sequence[Any], write: Callable[..., None]) -> int:
    from attm_companion.study.seed_study import run_tiers
    from attm_companion.study.study import Study

    studies = [Study(options.profile, chosen) for chosen in dict.fromkeys(options.seeds)]
    run_tiers(studies, tiers, lambda reading: write(studies, reading), options.jobs)
    return 0
