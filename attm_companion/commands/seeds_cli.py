"""``attm seeds``: train the chain under several training seeds and judge the mechanisms."""

from __future__ import annotations

import argparse
from typing import Any

from attm_companion.commands import seed, worker_count


def add_parsers(subparsers: Any) -> None:
    """Add the subcommand."""
    seeds = subparsers.add_parser(
        "seeds", help="train under several seeds on the same frozen parts; judge the mechanisms"
    )
    seeds.add_argument("--profile", default="mini", help="a name, or the path of a .yaml file")
    seeds.add_argument("--seeds", type=seed, nargs="+", default=list(range(1, 9)), metavar="SEED")
    seeds.add_argument(
        "--jobs", type=worker_count, help="worker processes; the number of cores if left out"
    )
    seeds.set_defaults(run=run_seeds_command)


def run_seeds_command(options: argparse.Namespace) -> int:
    """Run, or go on with, all seeds; the table is written again after every group of them."""
    from attm_companion.study.seed_study import run_seeds
    from attm_companion.study.study import Study
    from attm_companion.tables.training_seeds import write_seeds

    studies = [Study(options.profile, seed) for seed in dict.fromkeys(options.seeds)]
    run_seeds(studies, lambda reading: write_seeds(studies, reading), options.jobs)
    return 0
