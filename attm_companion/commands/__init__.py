"""The `attm` command."""

import argparse

MAX_JOBS = 1024


def worker_count(text: str) -> int:
    """The value of ``--jobs``, 1 to 1024; argparse makes a usage error of a ValueError."""
    return _within(1, MAX_JOBS, text)


def seed(text: str) -> int:
    """A training seed, from 0 on."""
    return _within(0, 2**63 - 1, text)


def _within(low: int, high: int, text: str) -> int:
    if not low <= int(text) <= high:
        raise ValueError(text)
    return int(text)


def add_profile(parser: argparse.ArgumentParser) -> None:
    """``--profile``: which study."""
    words = "smoke, mini (default), paper or FILE.yaml"
    parser.add_argument("--profile", default="mini", help=words)


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """``--jobs``: how many worker processes."""
    words = "worker processes; the number of cores if left out"
    parser.add_argument("--jobs", type=worker_count, help=words)
