"""What is promised about interrupted runs, damaged caches and full disks, tried on whole studies.

Run ``make torture``, or ``python scripts/torture.py kills`` for a part. All of it runs on a clone
of the last commit, with caches of its own; the parts share one undisturbed study of the smoke
profile. Each prints what it found and its time, and fails if a promise was not kept:

* ``kills``: kill -9 at writes of every kind of stage, of a submission, a notebook and the book; run
  again, each gives what an undisturbed run gave.
* ``damage``: every kind of artefact truncated, emptied, flipped, swapped, deleted, and replaced by
  a pickle that would run code: each is noticed and nothing runs.
* ``healing``: one artefact of every kind of stage damaged at once; the next study makes them again.
* ``together``: two studies at once in one cold cache: the same hash, and no stage made twice.
* ``disk``: a study on a full disk ends in one message that names it (needs the right to mount).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat

from attm_companion.study.stage import RECORD_NAME, Stage, StageError, ancestry
from attm_companion.study.study import Study
from attm_companion.tables.experiments import find_experiment

ROOT = Path(__file__).resolve().parents[1]
PROFILE, EXPERIMENT = "smoke", "cumulative"  # an experiment that needs every kind of stage
NOTEBOOK = "cumulative-ablation"  # its page
STUDY = ("study", "--profile", PROFILE, "--only", EXPERIMENT, "--jobs")
# Which write of a kind of stage by one process, and whether it is killed before it or after.
POINTS = ("1 -", "2 +", "3 -", "4 +", "5 -", "6 +")
LEAST_KILLS = 40
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


def kills(root: Path) -> str:
    """Kill every kind of stage and every other command; then compare."""
    reference, expected = undisturbed(root)
    wanted = reference.records()
    kinds = list(dict.fromkeys(kind_of(stage.uid) for stage in reference.stages()))
    lanes = {Place(root, f"lane-{n}"): kinds[n::2] for n in range(2)}  # each kills its own kinds
    for place, own in lanes.items():
        shutil.copytree(reference.cache, place.cache)
        for uid in (uid for uid in wanted if kind_of(uid) in own):
            shutil.rmtree(place.cache / uid)

    def lane(place: Place) -> str:
        points = [f"{kind} {point}" for point in POINTS for kind in lanes[place]]
        return place.run_killed(*STUDY, "1", points=points).hash()

    with ThreadPoolExecutor() as pool:
        others = pool.submit(lambda: [submission(reference), *pages(reference)])
        hashes = set(pool.map(lane, lanes))
    require(hashes == {expected}, f"results hashes {hashes} after kills, {expected} without")
    killed = Counter(point.split()[0] for place in lanes for point in place.said("killed"))
    for place in lanes:
        found = place.records()
        other = [uid for uid in wanted if found.get(uid) != wanted[uid]]
        require(not other, f"other bytes after kills: {', '.join(other)}")
    left = [path for place in lanes for path in place.cache.rglob(".*.part*")]
    require(not left, f"unfinished files: {left[:3]}")
    rows = [*((kind, killed[kind]) for kind in kinds), *others.result()]
    print(f"  {'what':12} kills  resumed  equal")
    for name, n in rows:
        print(f"  {name:12} {n:5}  {n:7}  yes")
    total = sum(n for _, n in rows)
    require(all(n for _, n in rows) and total >= LEAST_KILLS, f"only {total} kills")
    return f"{total} kills -9, all resumed, same bytes, no unfinished files"


def submission(place: Place) -> tuple[str, int]:
    """Kill before and after the archive takes its name."""
    prompts, whole, archive = (place.root / n for n in ("prompts.json", "whole.zip", "killed.zip"))
    prompts.write_text('{"a": "calm piano", "b": "fast drums"}')
    words = ["submission", "--profile", PROFILE, "--prompts", str(prompts), "--out"]
    place.start(*words, str(whole)).end()
    for point in ("killed.zip 1 -", "killed.zip 1 +"):
        archive.unlink(missing_ok=True)
        place.start(*words, str(archive), points=[point]).end(-signal.SIGKILL)
        require(archive.exists() == point.endswith("+"), "half an archive has its name")
        place.start(*words, str(archive)).end()
        require(archive.read_bytes() == whole.read_bytes(), "another archive after a kill")
    return "submission", 2


def pages(reference: Place) -> list[tuple[str, int]]:
    """Kill a notebook while papermill runs it, and the book while it is laid out and rendered."""
    place, build = Place(reference.root, "pages"), reference.clone / "_build"
    place.clone, place.cache = reference.clone, reference.cache
    place.results, executed = place.clone / "results", build / "notebooks" / PROFILE
    words = ["notebooks", "--profile", PROFILE, "--only", NOTEBOOK]
    copy = executed / f"{NOTEBOOK}.ipynb"

    def outputs() -> str:
        """All that the notebook says and draws, but for dates."""
        place.start(*words).end()
        found = [cell.get("outputs", []) for cell in nbformat.read(copy, as_version=4).cells]
        return re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "", json.dumps(found))

    whole = outputs()
    copy.unlink()
    for text in ("", '"status": "completed"'):  # before and after its first cell
        place.kill_when(f"_build/notebooks/{PROFILE}/running/*.ipynb", text, *words)
        require(not copy.exists(), "half a notebook counts as executed")
    require(outputs() == whole, "a notebook says something else after kills")
    require(not list((executed / "running").glob("*")), "a killed notebook was left in running/")
    kept = {ROOT / "_build" / "notebooks" / PROFILE: executed,
            ROOT / "results" / PROFILE: place.results / PROFILE}  # fmt: skip
    for source, target in kept.items():  # of `make smoke`, if that was run
        shutil.copytree(source, target, dirs_exist_ok=True) if source.exists() else None
    sources = {path.name for path in (place.clone / "notebooks").glob("*.ipynb")}
    if not sources <= {path.name for path in executed.glob("*.ipynb")}:
        place.start("study", "--profile", PROFILE).end()
        place.start("notebooks", "--profile", PROFILE).end()
    words = ["book", "--profile", PROFILE]
    for pattern in ("_build/book-src/book/*.md", "_build/book-out/_build/html/book/*.html"):
        place.kill_when(pattern, "", *words)
        require(not (build / "html").exists(), "half a book is in place")
    place.start(*words).end()
    built = (build / "html" / ".attm-stamp").stat().st_mtime_ns
    place.start(*words).end()
    again = (build / "html" / ".attm-stamp").stat().st_mtime_ns
    require(again == built, "a whole book was built again")
    return [("notebooks", 2), ("book", 2)]


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
    yield "deleted", os.unlink
    yield "poisoned", lambda path: path.write_text(f"cos\nmkdir\n(V{ran}\ntR.")  # a pickle
    if other is not None:
        yield "swapped", lambda path: shutil.copyfile(other, path)


def artefacts(place: Place) -> dict[tuple[str, str], list[tuple[Stage, str]]]:
    """(kind of stage, kind of file) → where there is one; folders and numbers do not matter."""
    found: dict[tuple[str, str], list[tuple[Stage, str]]] = {}
    for stage in place.stages():
        for name in (RECORD_NAME, *stage.record()["files"]):
            role = re.sub(r"[0-9a-f]{20}|\d+", "#", name)
            found.setdefault((kind_of(stage.uid), role), []).append((stage, name))
    return found


def damage(root: Path) -> str:
    """Damage every kind of artefact in every way, look whether it is noticed, and put it back."""
    place, _ = undisturbed(root)
    ran, tried, found = place.root / "ran", 0, artefacts(place)
    for (kind, role), homes in found.items():
        stage, name = homes[0]
        path = stage.folder / name
        content = path.read_bytes()
        others = (s.folder / n for s, n in homes[1:])
        other = next((p for p in others if p.read_bytes() != content), None)
        for deed, do in damages(other, ran):
            do(path)
            what = f"{kind} {role} {deed}"
            require(not stage.done, f"{what}: the stage counts as done")
            gone = name == RECORD_NAME and deed == "deleted"
            require(gone or bool(stage.damage()), f"{what}: nobody says so")
            require(refuses(stage, name), f"{what}: read without a word")
            path.write_bytes(content)
            require(stage.done, f"{kind} {role}: put back, but not sound again")
            tried += 1
    require(not ran.exists(), "a payload ran")
    return f"{tried} damages to {len(found)} kinds of artefacts: all noticed, 0 payloads ran"


def refuses(stage: Stage, name: str) -> bool:
    """Whether a reader is stopped."""
    try:
        stage.record() if name == RECORD_NAME else stage.artefact(name)
    except StageError:
        return True
    return False


def healing(root: Path) -> str:
    """Damage one artefact of every kind of stage, and run the study again."""
    place, expected = undisturbed(root)
    per_kind: dict[str, list[tuple[Stage, str]]] = {}
    for (kind, role), homes in artefacts(place).items():
        if role != RECORD_NAME:
            per_kind.setdefault(kind, []).append(homes[0])
    ways = [os.unlink, flip, lambda path: os.truncate(path, 0), lambda path: os.truncate(path, 9)]
    for number, homes in enumerate(per_kind.values()):
        stage, name = homes[number % len(homes)]
        ways[number % len(ways)](stage.folder / name)
    run = place.start(*STUDY, "2").end()
    named = run.err.count("set aside in")
    require(run.hash() == expected, "the healed study has other results")
    require(named == len(per_kind), f"{named} of {len(per_kind)} damaged stages were named")
    return f"{named} stages damaged, each named, set aside and made again; hash equal"


def together(root: Path) -> str:
    """Two studies at once in one cold cache."""
    _, expected = undisturbed(root)
    place = Place(root, "together")
    runs = [place.start(*STUDY, jobs, threads=int(jobs)) for jobs in ("1", "2")]
    hashes, made = {run.end().hash() for run in runs}, place.said("made")
    require(hashes == {expected}, f"results hashes {hashes}, expected {expected}")
    require(len(made) == len(set(made)), "a stage was made twice")
    return f"two studies at once: {len(made)} stages made, none twice, hash equal"


def disk(root: Path) -> str:
    """A study in caches that are too small."""
    for size in ("1m", "8m", "24m"):
        place = Place(root, f"disk-{size}")
        place.cache.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "torture", str(place.cache)]
        if subprocess.run(mount, capture_output=True).returncode:
            return "skipped: no right to mount a small file system"
        try:
            said = place.start(*STUDY, "2").end(1).err
        finally:
            subprocess.run(["umount", str(place.cache)], check=True)
        named = "disk" in said and "Traceback" not in said
        require(named, f"a full disk of {size} is not named: {said[-2000:]}")
    return "3 full disks named"


PARTS = {part.__name__: part for part in (kills, damage, healing, together, disk)}


def main() -> int:
    """Exit status 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(description="Are interrupted and damaged runs what we say?")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=list(PARTS))
    parser.add_argument("--keep", type=Path, help="folder to work in, kept afterwards")
    options = parser.parse_args()
    failed, start = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as own:
        root = (options.keep or Path(own)).resolve()
        if not (root / "clone").exists():
            clone = ["git", "clone", "--quiet", "--shared", str(ROOT), str(root / "clone")]
            subprocess.run(clone, check=True)
        for name in options.parts or PARTS:
            began = time.monotonic()
            try:
                said = PARTS[name](root)
            except Promise as broken:
                said, failed = f"BROKEN: {broken}", failed + 1
            print(f"{name:9} {said} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{failed} promises broken; {(time.monotonic() - start) / 60:.0f} min in all")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
