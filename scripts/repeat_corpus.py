"""Build the corpus of a profile again and again: are all builds the same, byte for byte?

Run ``python scripts/repeat_corpus.py --profile smoke --times 20``. Builds differ in the number of
workers and in what freed memory is filled with (glibc's MALLOC_PERTURB_); each is a fresh process.
Every fourth reads the scores anew, the others take over the scores that the one before has read.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

BUILD = """
import sys
from pathlib import Path
from attm_companion.study.profile import load_profile
from attm_companion.world.build import build_corpus
if __name__ == "__main__":
    build_corpus(load_profile(sys.argv[1]).cast.corpus, Path(sys.argv[2]), workers=int(sys.argv[3]))
"""
CASES = list(product(("0", "85", "170"), (1, 2)))  # MALLOC_PERTURB_, workers


def digest(folder: Path) -> str:
    """Of every file of a corpus, by name."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole.update(f"{path.relative_to(folder)}\n".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def build(profile: str, place: Path, round_: int) -> str:
    """Build once, in a place that holds at most scores that were read before."""
    perturbation, workers = CASES[round_ % len(CASES)]
    folder, script = place / "corpus", place / "build.py"
    script.write_text(BUILD, encoding="utf-8")
    if round_ % 4 == 0:
        shutil.rmtree(folder, ignore_errors=True)
    for path in folder.glob("*.*"):
        path.unlink()
    began = time.monotonic()
    subprocess.run(
        [sys.executable, str(script), profile, str(folder), str(workers)],
        env={**os.environ, "MALLOC_PERTURB_": perturbation},
        check=True,
    )
    found = digest(folder)
    seconds = time.monotonic() - began
    case = f"perturbation {perturbation:>3}, {workers} workers"
    print(f"{round_ + 1:3}: {case}: {found[:16]} after {seconds:.0f} s", flush=True)
    return found


def main() -> int:
    """Exit status 1 if two builds differ."""
    parser = argparse.ArgumentParser(description="Are repeated corpus builds the same?")
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--times", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = [build(arguments.profile, Path(place), i) for i in range(arguments.times)]
    print(f"{len(found)} builds, {len(set(found))} distinct")
    return int(len(set(found)) > 1)


if __name__ == "__main__":
    sys.exit(main())
