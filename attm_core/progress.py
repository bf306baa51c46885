"""Progress of long work: a bar with time left on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

_Item = TypeVar("_Item")

_LOG_EVERY_S = 20.0


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def track(
    items: Iterable[_Item], description: str, total: int | None = None, start: int = 0
) -> Iterator[_Item]:
    """Yield from ``items`` and show how far along they are.

    ``total`` is their number if they have no length, ``start`` how many were done before.
    """
    if total is None and isinstance(items, Sized):
        total = len(items) + start
    terminal = sys.stderr.isatty()
    began = said = time.monotonic()
    for done, item in enumerate(items, start=start + 1):
        yield item
        now = time.monotonic()
        if now - said >= (0.2 if terminal else _LOG_EVERY_S):
            said, gone = now, now - began
            left = _clock(gone / (done - start) * (total - done)) if total else ""
            known = f"/{total}, {_clock(gone)} gone, {left} left" if total else f" ({_clock(gone)})"
            _say(f"{description}: {done}{known}", terminal)
    elapsed = time.monotonic() - began
    if terminal or elapsed >= _LOG_EVERY_S:
        _say(f"{description}: done in {_clock(elapsed)}", terminal, last=True)


def _say(line: str, terminal: bool, last: bool = False) -> None:
    sys.stderr.write(f"\r\033[K{line}" + "\n" * last if terminal else f"{line}\n")
    sys.stderr.flush()
