"""``attm notebooks`` and ``attm book``."""

import argparse
from pathlib import Path

from attm_companion.book import book, execution
from attm_companion.book.layout import Layout, project_root
from attm_companion.study.opening import open_study
from attm_companion.study.profile import load_profile
from attm_core.errors import ConfigError


def _layout(profile: str) -> tuple[Layout, str]:
    """Folders of a profile, and how a notebook finds it from anywhere: its name or its path."""
    name = load_profile(profile).name
    place = profile if profile == name else str(Path(profile).resolve())
    return Layout(project_root(), name), place


def run_notebooks(arguments: argparse.Namespace) -> int:
    """Execute; raises PublishingError or ConfigError if something is wrong."""
    names = [name for name, _ in arguments.parameters]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"parameter '{twice[0]}' is given twice")
    layout, profile = _layout(arguments.profile)
    runs = execution.plan(layout, arguments.only, dict(arguments.parameters), profile)
    given = runs[0].parameters
    open_study(profile, given.get("seed"), given.get("set", ""))  # an error before any kernel
    executed = execution.execute_all(layout, runs, arguments.jobs)
    print(f"{len(executed)} notebook(s) executed, {len(runs) - len(executed)} already current")
    for run in runs:
        print(f"  {run.output.relative_to(layout.root)}")
    return 0


def run_book(arguments: argparse.Namespace) -> int:
    """Build; raises PublishingError or ConfigError if something is wrong."""
    index = book.build_book(_layout(arguments.profile)[0])
    print(f"the book: {index}")
    return 0
