"""The ``attm`` command: study, notebooks, book, generate, score, claims, assets and more.

Each part of the package brings its own subcommands; this module only collects them, turns the
package's errors into one line on stderr and exit code 1, and keeps hub calls offline.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from attm_core import __version__
from attm_core.errors import AttmError

# Modules that bring subcommands: each has ``add_parsers(subparsers)`` and imports little itself.
COMMAND_MODULES = (
    "attm_core.study.cli",
    "attm_core.publishing.cli",
    "attm_core.generation.cli",
    "attm_core.claims.cli",
    "attm_core.assets_cli",
)


def build_parser() -> argparse.ArgumentParser:
    """The parser with all subcommands."""
    parser = argparse.ArgumentParser(prog="attm", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--version", action="version", version=f"attm-companion {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMAND_MODULES:
        importlib.import_module(module).add_parsers(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 for an error of ours, 2 for a usage error."""
    # Without a network, hub calls hang for minutes; whoever fetches says so with `attm assets`.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    options = build_parser().parse_args(arguments)
    try:
        code = options.run(options)
    except (AttmError, OSError) as error:  # OSError: disk full, no permission, …
        print(f"attm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("attm: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return int(code or 0)


if __name__ == "__main__":
    sys.exit(main())
