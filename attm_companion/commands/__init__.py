"""The `attm` command."""

MAX_JOBS = 1024


def worker_count(text: str) -> int:
    """The value of ``--jobs``.

    Raises:
        ValueError: argparse makes a usage error of it.
    """
    if not 1 <= int(text) <= MAX_JOBS:
        raise ValueError(text)
    return int(text)
