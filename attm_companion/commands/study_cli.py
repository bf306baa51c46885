"""``attm study``, ``attm seeds`` and ``attm open``: run what is not cached, write the results."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from attm_companion.commands.plan import report
from attm_companion.study import open_questions, seed_study
from attm_companion.study.opening import open_study
from attm_companion.study.result_files import results_folder, results_hash
from attm_companion.study.study import Study
from attm_companion.tables import experiments
from attm_companion.tables.open_questions import write_open
from attm_companion.tables.selection import write_seeds


def run_study(options: argparse.Namespace) -> int:
    """Run the study, or one experiment of it, or list what would run."""
    study = open_study(options.profile, options.seed, options.set)
    if options.only is not None:
        experiments.find_experiment(options.only)
    if options.dry_run:
        print(*report(study), sep="\n")
        return 0
    if options.only is not None:
        experiments.run_experiment(study, options.only, options.jobs)
    else:
        experiments.run_study(study, options.jobs)
    digest = results_hash(results_folder(study.profile.name))
    print(f"results hash of {study.profile.name}: {digest}")
    return 0


def run_seeds(options: argparse.Namespace) -> int:
    """Run, or go on with, all seeds; the table is written again after every group of them."""
    return _run(options, seed_study.TIERS, write_seeds)


def run_open(options: argparse.Namespace) -> int:
    """Ask, or go on asking, the open questions; the table is written again after each of them."""
    return _run(options, open_questions.TIERS, write_open)


def _run(options: argparse.Namespace, tiers: Sequence[Any], write: Callable[..., None]) -> int:
    studies = [Study(options.profile, chosen) for chosen in dict.fromkeys(options.seeds)]
    seed_study.run_tiers(studies, tiers, lambda reading: write(studies, reading), options.jobs)
    return 0
