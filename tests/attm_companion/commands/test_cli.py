import argparse
import os
import signal
import subprocess
import sys
import time
from unittest.mock import Mock

import pytest

from attm_companion.commands import cli
from attm_core import __version__
from attm_core.errors import InputError

COMMANDS = ["study", "compare", "seeds", "open", "doctor", "notebooks", "book", "generate", "score"]
COMMANDS += ["submission", "claims", "assets"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--version"], 0, f"attm-companion {__version__}\n"),
        *(([command, "--help"], 0, f"usage: attm {command}") for command in COMMANDS),
        *((words, 2, "usage: attm") for words in ([], ["nothing"], ["study", "--nothing"])),
    ],
)
def test_each_command_explains_itself_and_usage_errors_leave_with_two(words, code, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert stopped.value.code == code
    captured = capsys.readouterr()
    assert (captured.err if code else captured.out).startswith(said)


def run_instead(monkeypatch, run) -> None:
    """Whatever the words, the command is ``run``."""
    parser = argparse.ArgumentParser()
    parser.set_defaults(run=run)
    monkeypatch.setattr(cli, "build_parser", lambda: parser)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("no such clip"), "no such clip\n"),
        (PermissionError(13, "Permission denied", "out.wav"), "Permission denied: 'out.wav'"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (BrokenPipeError(32, "a worker is gone"), "a worker is gone"),
    ],
)
def test_errors_are_one_line_on_stderr(monkeypatch, capsys, error, said):
    run_instead(monkeypatch, Mock(side_effect=error))
    assert cli.main([]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("attm: ") and said in captured.err
    assert (captured.err.count("\n"), captured.out) == (1, "")
    run_instead(monkeypatch, Mock(side_effect=KeyError("a bug")))
    with pytest.raises(KeyError, match="a bug"):  # is not hidden
        cli.main([])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("swallowed", [0, 1])
def test_a_signal_ends_a_command_in_one_line(monkeypatch, capsys, number, swallowed):
    """Also where a library swallows it once, as some do while they are imported."""
    left = [None] * swallowed

    def run(options):
        for _ in range(100):
            try:
                os.kill(os.getpid(), number) if len(left) == swallowed else time.sleep(10)
            except KeyboardInterrupt:
                if not left:
                    raise
                left.pop()

    run_instead(monkeypatch, run)
    monkeypatch.setattr(cli, "AGAIN_S", 0.05)
    found = signal.signal(number, signal.default_int_handler)  # a job in the background ignores it
    try:
        assert cli.main([]) == 130
        assert signal.getsignal(number) == signal.default_int_handler
    finally:
        signal.signal(number, found)
    assert capsys.readouterr().err == "attm: interrupted; run the same command again to go on\n"


@pytest.mark.parametrize(("words", "buffered"), [(["doctor"], True), (["assets", "list"], False)])
def test_a_reader_that_leaves_is_no_error(words, buffered):
    command = [sys.executable, *([] if buffered else ["-u"])]
    command += ["-m", "attm_companion.commands.cli", *words]
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=plain, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_help_needs_no_heavy_library():
    code = """
import sys
from attm_companion.commands import cli
cli.build_parser()
print(sorted({"torch", "pandas", "demucs", "transformers", "pebble"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
