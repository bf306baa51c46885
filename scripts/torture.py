"""What is promised about interrupted runs, damaged caches and full disks, tried on whole studies.

Run ``make torture`` (an hour on two cores), or ``python scripts/torture.py kills --kills 10``
for a part. Each part runs studies of the smoke profile in caches of their own, prints one line
of figures, and fails if a promise was not kept:

* ``kills``: kill -9 at chosen writes of every kind of stage; the results hash is that of a run
  that nothing disturbed.
* ``damage``: every kind of artefact truncated, emptied, flipped, swapped, deleted, and replaced by
  a pickle that would run code: each is noticed and nothing runs.
* ``healing``: one artefact of every kind of stage damaged at once; the next study makes them again,
  with the same results hash.
* ``together``: two studies at once in one cache, with different workers and threads: the same hash,
  and no stage made twice.
* ``disk``: a study on a full disk ends in one message that names it (needs the right to mount).
* ``corpus``: repeated builds of the corpus are equal (``scripts/repeat_corpus.py``).
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attm_companion.study.stage import RECORD_NAME, Stage, StageError, ancestry
from attm_companion.study.study import Study
from attm_companion.tables.experiments import find_experiment

PROFILE, EXPERIMENT = "smoke", "cumulative"  # an experiment that needs every kind of stage
WRITES = (1, 2, 3, 5, 8)  # of a kind of stage by one process: where it may be killed
LIMIT_S = 3600.0

# In every process of a study: os.replace, with which all files get their names, reports and kills.
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
        if first == os.pardir:
            return plain(source, target, **options)
        kind = first.rsplit("-", 1)[0]
        counts[kind] = counts.get(kind, 0) + 1
        point = f"{kind} {counts[kind]}"
        if point in points and counts[kind] % 2:
            say("killed " + point)
            os.killpg(0, signal.SIGKILL)
        plain(source, target, **options)
        if rest == "stage.json":
            say("made " + first)
        if point in points:
            say("killed " + point)
            os.killpg(0, signal.SIGKILL)
    os.replace = replace
"""


class Promise(Exception):
    """A promise was not kept."""


class Place:
    """A cache, results and a log of their own."""

    def __init__(self, root: Path) -> None:
        self.root, self.cache, self.log = root, root / "cache", root / "log"
        (root / "hook").mkdir(parents=True, exist_ok=True)
        (root / "hook" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")

    def start(self, jobs: int = 2, threads: int = 1, points: list[str] | None = None) -> Run:
        """A study in a process group of its own."""
        path = f"{self.root / 'hook'}{os.pathsep}{os.environ.get('PYTHONPATH', os.getcwd())}"
        own = {"ATTM_CACHE": self.cache, "ATTM_RESULTS": self.root / "results", "PYTHONPATH": path}
        own |= {"TORTURE_LOG": self.log, "TORTURE_POINTS": json.dumps(points or [])}
        own |= {"OMP_NUM_THREADS": threads}
        words = ["study", "--profile", PROFILE, "--only", EXPERIMENT, "--jobs", str(jobs)]
        return Run(words, {**os.environ, **{name: str(value) for name, value in own.items()}})

    def said(self, word: str) -> list[str]:
        """What the hook reported with a word."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")]

    def stages(self) -> list[Stage]:
        """All stages of the experiment, in this place's cache."""
        os.environ["ATTM_CACHE"] = str(self.cache)
        return ancestry(find_experiment(EXPERIMENT).stages(Study(PROFILE)))


class Run:
    """One `attm study`."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "attm_companion.commands.cli", *words]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )

    def end(self) -> tuple[int, str, str]:
        """Exit status, output and errors; nothing of it is left running."""
        out, err = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, out, err

    def hash(self) -> str:
        """The results hash of a run that must succeed."""
        code, out, err = self.end()
        found = re.search(r"results hash of .*: ([0-9a-f]{64})", out)
        if code or not found:
            raise Promise(f"a study ended with {code}: {err[-2000:]}")
        return found[1]


def require(holds: bool, words: str) -> None:
    """Fail if a promise was not kept."""
    if not holds:
        raise Promise(words)


def undisturbed(root: Path) -> tuple[Place, str]:
    """The study that the others are compared with; made once."""
    place = Place(root / "undisturbed")
    return place, place.start().hash()


def kills(root: Path, wanted: int) -> str:
    """Kill a study at one planned write after the other, then let it end."""
    _, expected = undisturbed(root)
    place = Place(root / "killed")
    kinds = list(dict.fromkeys(stage.uid.rsplit("-", 1)[0] for stage in place.stages()))
    points, done = [f"{kind} {n}" for n in WRITES for kind in kinds], place.said("killed")
    while len(done) < wanted:
        left = [point for point in points if point not in done]
        code, _, err = place.start(jobs=1, points=left).end()
        done = place.said("killed")
        if code == 0:
            forget(place, kinds, left)
        elif code != -signal.SIGKILL:
            raise Promise(f"a killed study could not go on: {err[-2000:]}")
    found = place.start().hash()
    require(found == expected, f"results hash {found} after the kills, {expected} without")
    leftovers = list(place.cache.rglob(".*.part*"))
    each = ", ".join(f"{kind} {sum(p.split()[0] == kind for p in done)}" for kind in kinds)
    return f"{len(done)} kills -9 ({each}), hash equal, {len(leftovers)} unfinished files left"


def forget(place: Place, kinds: list[str], left: list[str]) -> None:
    """Delete the stages of kinds where a kill is still wanted, and all that stand on them."""
    open_kinds = {point.split()[0] for point in left}
    gone: set[str] = set()
    for stage in place.stages():
        kind = stage.uid.rsplit("-", 1)[0]
        if kind in open_kinds - {kinds[0]} or {parent.uid for parent in stage.parents} & gone:
            gone.add(stage.uid)
            shutil.rmtree(stage.folder, ignore_errors=True)


class Bomb:
    """Unpickling this would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damages(other: Path | None, ran: Path) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Name and deed; ``other`` is the same file of another stage of the kind."""
    yield "truncated", lambda path: os.truncate(path, max(path.stat().st_size - 3, 0))
    yield "emptied", lambda path: os.truncate(path, 0)
    yield "flipped", flip
    yield "deleted", lambda path: path.unlink()
    yield "poisoned", lambda path: path.write_bytes(pickle.dumps(Bomb(ran)))
    if other is not None:
        yield "swapped", lambda path: shutil.copyfile(other, path)


def artefacts(stages: list[Stage]) -> dict[tuple[str, str], list[tuple[Stage, str]]]:
    """(kind of stage, kind of file) → where there is one; folders and numbers do not matter."""
    found: dict[tuple[str, str], list[tuple[Stage, str]]] = {}
    for stage in stages:
        kind = stage.uid.rsplit("-", 1)[0]
        for name in (RECORD_NAME, *stage.record()["files"]):
            role = re.sub(r"[0-9a-f]{20}|\d+", "#", name)
            found.setdefault((kind, role), []).append((stage, name))
    return found


def damage(root: Path, _: int) -> str:
    """Damage every kind of artefact in every way, look whether it is noticed, and put it back."""
    place, _hash = undisturbed(root)
    ran, tried = place.root / "ran", 0
    found = artefacts(place.stages())
    for (kind, role), homes in found.items():
        stage, name = homes[0]
        path = stage.folder / name
        other = next((s.folder / n for s, n in homes[1:] if not same(s.folder / n, path)), None)
        for deed, do in damages(other, ran):
            kept = path.read_bytes()
            do(path)
            require(not stage.done, f"{kind} {role} {deed}: the stage counts as done")
            if not (name == RECORD_NAME and deed == "deleted"):
                require(bool(stage.damage()), f"{kind} {role} {deed}: nobody says so")
            require(refuses(stage, name), f"{kind} {role} {deed}: read without a word")
            path.write_bytes(kept)
            require(stage.done, f"{kind} {role}: put back, but not sound again")
            tried += 1
    require(not ran.exists(), "a payload ran")
    return f"{tried} damages to {len(found)} kinds of artefacts: all noticed, 0 payloads ran"


def same(one: Path, other: Path) -> bool:
    """Whether two files have the same content."""
    return one.read_bytes() == other.read_bytes()


def refuses(stage: Stage, name: str) -> bool:
    """Whether a reader is stopped."""
    try:
        stage.record() if name == RECORD_NAME else stage.artefact(name)
    except StageError:
        return True
    return False


def healing(root: Path, _: int) -> str:
    """Damage one artefact of every kind of stage, and run the study again."""
    place, expected = undisturbed(root)
    per_kind: dict[str, list[tuple[Stage, str]]] = {}
    for (kind, role), homes in artefacts(place.stages()).items():
        if role != RECORD_NAME:
            per_kind.setdefault(kind, []).append(homes[0])
    ways = [os.unlink, flip, lambda path: os.truncate(path, 0), lambda path: os.truncate(path, 9)]
    for number, homes in enumerate(per_kind.values()):
        stage, name = homes[number % len(homes)]
        ways[number % len(ways)](stage.folder / name)
    code, out, err = place.start().end()
    require(code == 0, f"the study did not heal: {err[-2000:]}")
    require(expected in out, "the healed study has other results")
    named = err.count("set aside in")
    require(named == len(per_kind), f"{named} of {len(per_kind)} damaged stages were named")
    return f"{named} stages damaged, each named, set aside and made again; hash equal"


def together(root: Path, _: int) -> str:
    """Two studies at once in one cold cache."""
    _, expected = undisturbed(root)
    place = Place(root / "together")
    runs = [place.start(jobs=1, threads=1), place.start(jobs=2, threads=2)]
    hashes = {run.hash() for run in runs}
    made = place.said("made")
    require(hashes == {expected}, f"results hashes {hashes}, expected {expected}")
    require(len(made) == len(set(made)), "a stage was made twice")
    return f"two studies at once: {len(made)} stages made, none twice, hash equal"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of ``size`` at ``folder``."""
    folder.mkdir(parents=True)
    options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "torture", str(folder)]
    subprocess.run(options, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def disk(root: Path, _: int) -> str:
    """A study in caches that are too small."""
    tried = 0
    for size in ("1m", "8m", "24m"):
        place = Place(root / f"disk-{size}")
        try:
            with small_disk(place.cache, size):
                code, _out, err = place.start().end()
        except (OSError, subprocess.CalledProcessError):
            return "skipped: no right to mount a small file system"
        require(code == 1, f"a full disk of {size}: exit status {code}")
        named = "disk" in err and "Traceback" not in err
        require(named, f"a full disk of {size} is not named: {err[-2000:]}")
        tried += 1
    return f"{tried} full disks named"


def corpus(root: Path, _: int) -> str:
    """Twenty builds."""
    script = Path(__file__).with_name("repeat_corpus.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    require(done.returncode == 0, f"builds differ: {done.stdout[-1000:]}")
    return f"corpus: {done.stdout.splitlines()[-1]}"


PARTS = {part.__name__: part for part in (kills, damage, healing, together, disk, corpus)}


def main() -> int:
    """Exit status 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(description="Are interrupted and damaged runs what we say?")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=list(PARTS))
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--keep", type=Path, help="folder to work in, kept afterwards")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as own:
        for name in options.parts or PARTS:
            began = time.monotonic()
            try:
                said = PARTS[name](options.keep or Path(own), options.kills)
            except Promise as broken:
                said, failed = f"BROKEN: {broken}", failed + 1
            print(f"{name:9} {said} ({time.monotonic() - began:.0f} s)", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
