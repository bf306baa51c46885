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
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from torture_kills import kills
from torture_runs import STUDY, Place, Promise, kind_of, require, undisturbed

from attm_companion.study.stage import RECORD_NAME, Stage, StageError

ROOT = Path(__file__).resolve().parents[1]


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


def asked(arguments: list[str]) -> argparse.Namespace:
    """Options of a command line; no part named is all of them."""
    parser = argparse.ArgumentParser(description="Are interrupted and damaged runs what we say?")
    parser.add_argument("parts", nargs="*", choices=["all", *PARTS], default="all")
    parser.add_argument("--keep", type=Path, help="folder to work in, kept afterwards")
    options = parser.parse_args(arguments)
    options.parts = list(PARTS) if "all" in options.parts else options.parts
    return options


def main() -> int:
    """Exit status 1 if a promise was not kept."""
    options = asked(sys.argv[1:])
    failed, start = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as own:
        root = (options.keep or Path(own)).resolve()
        if not (root / "clone").exists():
            clone = ["git", "clone", "--quiet", "--shared", str(ROOT), str(root / "clone")]
            subprocess.run(clone, check=True)
        for name in options.parts:
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
