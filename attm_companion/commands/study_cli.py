"""``attm study`` and ``attm doctor``."""

import argparse
from typing import Any

from attm_companion.commands import add_jobs, add_profile


def add_parsers(subparsers: Any) -> None:
    """Add both subcommands."""
    study = subparsers.add_parser("study", help="run all stages and write results/<profile>/")
    add_profile(study)
    study.add_argument("--seed", type=int, help="training seed instead of the profile's")
    study.add_argument(
        "--set", default="", metavar="PLACE=VALUE,…",
        help="other numbers than the profile's, such as crpo.beta=200; results get their own name",
    )  # fmt: skip
    add_jobs(study)
    study.add_argument("--only", metavar="EXPERIMENT", help="one experiment and what it needs")
    study.add_argument(
        "--dry-run",
        action="store_true",
        help="every stage, its settings, cost and missing assets; runs nothing",
    )
    study.set_defaults(run=run_study_command)
    doctor = subparsers.add_parser("doctor", help="what is missing, and what would run")
    add_profile(doctor)
    doctor.set_defaults(run=run_doctor)


def run_study_command(options: argparse.Namespace) -> int:
    """Run the study, or one experiment of it, or list what would run."""
    from attm_companion.study.opening import open_study
    from attm_companion.study.result_files import results_folder, results_hash
    from attm_companion.tables import experiments

    study = open_study(options.profile, options.seed, options.set)
    if options.only is not None:
        experiments.find_experiment(options.only)
    if options.dry_run:
        from attm_companion.commands.plan import report

        for line in report(study):
            print(line)
        return 0
    if options.only is not None:
        experiments.run_experiment(study, options.only, options.jobs)
    else:
        experiments.run_study(study, options.jobs)
    digest = results_hash(results_folder(study.profile.name))
    print(f"results hash of {study.profile.name}: {digest}")
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    """Print what was found; 1 if something keeps the profile from running."""
    from attm_companion.commands.doctor import examine

    findings = list(examine(options.profile))
    for finding in findings:
        print(finding.describe())
    problems = sum(finding.level == "problem" for finding in findings)
    if problems:
        print(f"profile {options.profile} cannot run: {problems} problem(s) above")
        return 1
    print(f"profile {options.profile} can run: `attm study --profile {options.profile}`")
    return 0
