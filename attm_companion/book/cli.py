"""``attm notebooks`` and ``attm book``."""

import argparse
from pathlib import Path
from typing import Any

from attm_companion.book.layout import Layout, project_root
from attm_companion.commands import add_profile, worker_count
from attm_core.errors import ConfigError


def add_parsers(subparsers: Any) -> None:
    """Add both commands; each parser's ``run`` default takes the parsed arguments."""
    notebooks = subparsers.add_parser("notebooks", help="execute the notebooks that changed")
    add_profile(notebooks)
    notebooks.add_argument("--only", action="append", default=[], metavar="NAME")
    notebooks.add_argument(
        "--jobs", type=worker_count, default=2, help="how many at a time (default 2)"
    )
    notebooks.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
        help="a parameter of the notebooks; an unknown name or another type is an error",
    )  # fmt: skip
    notebooks.set_defaults(run=run_notebooks)
    book = subparsers.add_parser("book", help="build the book from executed notebooks")
    add_profile(book)
    book.set_defaults(run=run_book)


def _layout(profile: str) -> tuple[Layout, str]:
    """Folders of a profile, and how a notebook finds it from anywhere: its name or its path.

    Raises:
        ConfigError: there is no such profile.
    """
    from attm_companion.study.profile import load_profile

    name = load_profile(profile).name
    return Layout(project_root(), name), profile if profile == name else str(
        Path(profile).resolve()
    )


def run_notebooks(arguments: argparse.Namespace) -> int:
    """Execute; raises PublishingError or ConfigError if something is wrong."""
    from attm_companion.book.execution import execute_all, plan
    from attm_companion.study.opening import open_study

    names = [name for name, _ in arguments.parameters]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"parameter '{twice[0]}' is given twice")
    layout, profile = _layout(arguments.profile)
    open_study(profile, set=dict(arguments.parameters).get("set", ""))  # an error before any kernel
    runs = plan(layout, arguments.only, dict(arguments.parameters), profile)
    executed = execute_all(layout, runs, arguments.jobs)
    print(f"{len(executed)} notebook(s) executed, {len(runs) - len(executed)} already current")
    for run in runs:
        print(f"  {run.output.relative_to(layout.root)}")
    return 0


def run_book(arguments: argparse.Namespace) -> int:
    """Build; raises PublishingError or ConfigError if something is wrong."""
    from attm_companion.book.book import build_book

    index = build_book(_layout(arguments.profile)[0])
    print(f"the book: {index}")
    return 0
