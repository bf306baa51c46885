"""The ``attm`` command: study, notebooks, book, generate, score, claims, assets and more.

It turns the package's errors into one line on stderr and exit code 1, and keeps hub calls offline.
"""

import argparse
import os
import select
import signal
import sys
from collections.abc import Sequence

from attm_companion.commands.options import build_parser
from attm_core.errors import AttmError, InputError

STDOUT = 1
READER_LEFT = 128 + 13  # what a shell reports of a program that SIGPIPE ended
AGAIN_S = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 for an error of ours, 2 for a usage error.

    Like other Unix tools it ends quietly, with 141, when the reader of its output leaves.
    """
    # Without a network, hub calls hang for minutes; whoever fetches says so with `attm assets`.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  closed by the caller, `>&-`
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {
        n: signal.signal(n, _interrupt) for n in ends if signal.getsignal(n) != signal.SIG_IGN
    }
    try:
        try:
            return _run(arguments)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)
            sys.stdout.flush()
    except BrokenPipeError:
        return _reader_left()


def _interrupt(*_: object) -> None:
    """End as after Ctrl-C; a library that swallows that, as some do in an import, gets it again."""
    signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
    raise KeyboardInterrupt


def _run(arguments: Sequence[str] | None) -> int:
    options = build_parser().parse_args(arguments)
    try:
        _check_text(options)
        code = options.run(options)
    except (AttmError, OSError) as error:  # OSError: disk full, no permission, …
        if isinstance(error, BrokenPipeError) and not _has_reader():
            raise
        print(f"attm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("attm: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return int(code or 0)


def _check_text(options: argparse.Namespace) -> None:
    """Refuse words and paths in another encoding: they end up in tables, JSON and messages."""
    for value in vars(options).values():
        for word in map(str, value if isinstance(value, list) else [value]):
            try:
                word.encode()
            except UnicodeEncodeError as error:
                raise InputError(f"{word!a} is not UTF-8; set your terminal to it") from error


def _has_reader() -> bool:
    """Whether our output still goes somewhere: if so, the pipe that broke was another."""
    poll = select.poll()
    poll.register(STDOUT, 0)
    return not any(event & select.POLLERR for _, event in poll.poll(0))


def _reader_left() -> int:
    """The reader of our output has had enough, as in ``attm doctor | head -1``: end as `cat`."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDOUT)  # the interpreter's own last flush must not fail again
    os.close(nowhere)
    return READER_LEFT


if __name__ == "__main__":
    sys.exit(main())
