"""The kills of ``torture.py``: every kind of stage, a submission, a notebook and the book."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from torture_runs import PROFILE, STUDY, Place, kind_of, require, undisturbed

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = "cumulative-ablation"  # the page of the experiment
# Which write of a kind of stage by one process, and whether it is killed before it or after.
POINTS = ("1 -", "2 +", "3 -", "4 +", "5 -", "6 +")
LEAST_KILLS = 40


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
        require(not list(place.root.glob(".*.part.zip")), "an unfinished archive stays")
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
