"""From notebooks and results to a book: papermill executes, gates refuse, Jupyter Book renders."""

from attm_core.errors import AttmError


class PublishingError(AttmError):
    """A notebook failed, a gate found a problem, or the book did not build."""


def refuse(problems: list[str], what: str) -> None:
    """Raise ``PublishingError``, which lists them, if a gate found problems."""
    if problems:
        listing = "\n".join(f"  - {problem}" for problem in problems)
        raise PublishingError(f"{what}: {len(problems)} problem(s)\n{listing}")
