"""What the parts of ``torture.py`` share: a place for each run, and a hook that kills."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from attm_companion.study.stage import RECORD_NAME, Stage, ancestry
from attm_companion.study.study import Study
from attm_companion.tables.experiments import find_experiment

PROFILE, EXPERIMENT = "smoke", "cumulative"  # an experiment that needs every kind of stage
STUDY = ("study", "--profile", PROFILE, "--only", EXPERIMENT, "--jobs")
LIMIT_S = 3600.0

# In every process of a run: os.replace, with which all files get their names, reports and kills.
HOOK = """
import json, os, signal
cache, log = os.environ.get("ATTM_CACHE"), os.environ.get("TORTURE_LOG")
if log:
    points, counts, plain = set(json.loads(os.environ["TORTURE_POINTS"])), {}, os.replace
    def say(word):
        with open(log, "a") as stream:
            stream.write(word + chr(10))
    def replace(source, target, **options):
        first, _, rest = os.path.relpath(target, cache).partition(os.sep)
        kind = first.rsplit("-", 1)[0] if first != os.pardir else os.path.basename(target)
        counts[kind] = counts.get(kind, 0) + 1
        for sign in "-+":
            point = f"{kind} {counts[kind]} {sign}"
            if point in points:
                say("killed " + point)
                os.killpg(0, signal.SIGKILL)
            if sign == "-":
                plain(source, target, **options)
                if rest == "stage.json":
                    say("made " + first)
    os.replace = replace
"""


class Promise(Exception):
    """A promise was not kept."""


def require(holds: bool, words: str) -> None:
    """Fail if a promise was not kept."""
    if not holds:
        raise Promise(words)


class Place:
    """A cache, results and a log of their own, below the folder of all places."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.clone = root / name, root / "clone"
        self.cache, self.results = self.root / "cache", self.root / "results"
        self.log = self.root / "log"
        (self.root / "hook").mkdir(parents=True, exist_ok=True)
        (self.root / "hook" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")

    def start(self, *words: str, threads: int = 1, points: list[str] | None = None) -> Run:
        """A command of ours in a process group of its own."""
        path = f"{self.root / 'hook'}{os.pathsep}{self.clone}"
        own = {"ATTM_CACHE": self.cache, "ATTM_RESULTS": self.results, "PYTHONPATH": path}
        own |= {"TORTURE_LOG": self.log, "TORTURE_POINTS": json.dumps(points or [])}
        own |= {"OMP_NUM_THREADS": threads}
        return Run(
            [sys.executable, "-m", "attm_companion.commands.cli", *words],
            cwd=self.clone,
            env={**os.environ, **{name: str(value) for name, value in own.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def said(self, word: str) -> list[str]:
        """What the hook reported with a word."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")]

    def stages(self) -> list[Stage]:
        """All stages of the experiment, in this place's cache."""
        os.environ["ATTM_CACHE"] = str(self.cache)
        return ancestry(find_experiment(EXPERIMENT).stages(Study(PROFILE)))

    def records(self) -> dict[str, dict[str, str]]:
        """Stage → digests of its files."""
        records = self.cache.glob(f"*/{RECORD_NAME}")
        return {path.parent.name: json.loads(path.read_text())["files"] for path in records}

    def run_killed(self, *words: str, points: list[str]) -> Run:
        """Run and be killed at one point after the other, then run to the end."""
        while True:
            left = [point for point in points if point not in self.said("killed")]
            run = self.start(*words, points=left).end(0, -signal.SIGKILL)
            if run.returncode == 0:
                return run

    def kill_when(self, pattern: str, text: str, *words: str) -> None:
        """Kill a run as soon as there is a file like this, with this text in it, in the clone."""
        run = self.start(*words)
        while not any(text in path.read_text() for path in self.clone.glob(pattern)):
            require(run.poll() is None, f"{words[0]} ended before {pattern} was there")
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGKILL)
        run.end(-signal.SIGKILL)


class Run(subprocess.Popen[str]):
    """One command."""

    out = err = ""

    def end(self, *codes: int) -> Run:
        """Wait for its end, which must be one of ``codes``, 0 if none is given."""
        self.out, self.err = self.communicate(timeout=LIMIT_S)
        ended = f"a run ended with {self.returncode}: {self.err[-2000:]}"
        require(self.returncode in (codes or (0,)), ended)
        return self

    def hash(self) -> str:
        """The results hash of a study that ended."""
        found = re.search(r"results hash of .*: ([0-9a-f]{64})", self.out)
        return found[1] if found else "none"


def undisturbed(root: Path) -> tuple[Place, str]:
    """The study that the others are compared with; made once."""
    place, kept = Place(root, "undisturbed"), root / "undisturbed" / "hash"
    if not kept.exists():
        began = time.monotonic()
        kept.write_text(place.start(*STUDY, "2").end().hash())
        print(f"undisturbed study of {PROFILE}: {time.monotonic() - began:.0f} s", flush=True)
    return place, kept.read_text()


def kind_of(uid: str) -> str:
    """The kind of a stage."""
    return uid.rsplit("-", 1)[0]
