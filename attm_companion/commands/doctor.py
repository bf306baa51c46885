"""``attm doctor``: can this machine run a profile, what is missing, and what would run."""

import argparse
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import torch

from attm_companion.assets import Asset, absent_files, load_manifest
from attm_companion.paper_numbers import paper_value
from attm_companion.study.profile import MiniCast, PaperCast
from attm_companion.study.stage import CACHE_VARIABLE, Stage, ancestry, cache_root
from attm_companion.study.study import Study
from attm_companion.study.voted_ranker import VOTES
from attm_companion.tables.experiments import all_stages
from attm_core.assets import asset_folder
from attm_core.codec.mmaudio import SAMPLES_PER_LATENT
from attm_core.errors import ConfigError

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
PYTHON = "3.11"
GIB = 2**30
TRACKS_KEPT = 3  # mix, instrumental, vocals, 2 bytes per sample
WAVES_LOADED = 4  # a CLAP stage holds mix and instrumental, float32, and once more as one tensor
BESIDES_DISK_GIB = 1.0  # models, features and results
BESIDES_MEMORY_GIB = 1.5  # interpreter, libraries and models; smoke workers peak at 1.2 to 1.4 GiB
FLAN_T5_STATES = 77 * 1024  # values per caption

# What a study of the published system does without: the authors' backbone, votes for the ranker.
OPTIONAL = ("submission", *(name for name, _ in VOTES.values()), "concept_judge")


@dataclass(frozen=True)
class Finding:
    """One line of the report; a problem keeps the profile from running and has a remedy."""

    level: Literal["ok", "note", "problem"]
    subject: str
    text: str
    remedy: str = ""

    def describe(self) -> str:
        """The line, with the remedy after an arrow."""
        remedy = f" → {self.remedy}" if self.remedy else ""
        return f"{self.level:8} {self.subject:10} {self.text}{remedy}"


def examine(name: str) -> Iterator[Finding]:
    """All findings about a profile, its machine first."""
    yield from environment()
    yield Finding("ok", "cores", f"{os.cpu_count()}; stages run in one worker per core")
    try:
        study = Study(name)
    except ConfigError as error:
        yield Finding("problem", "profile", str(error), "choose another with --profile")
        return
    cast = study.profile.cast
    yield disk(disk_gib(cast))
    yield memory(memory_gib(cast))
    chain = ancestry(all_stages(study))
    if isinstance(cast, PaperCast):
        yield gpu()
        yield from paper_assets(chain)
    waiting = sum(not stage.done for stage in chain)
    yield Finding("ok", "stages", f"{len(chain)} in all, {waiting} to run")


def environment(lock: Path = LOCK) -> Iterator[Finding]:
    """Whether Python and its packages are those of the lock."""
    found = platform.python_version()
    if found.startswith(f"{PYTHON}."):
        yield Finding("ok", "python", found)
    else:
        yield Finding("problem", "python", f"{found}, not {PYTHON}", "run `make environment`")
    if not lock.exists():
        yield Finding("note", "packages", "no requirements.lock beside the package to compare with")
        return
    pins = re.findall(r"^([\w.-]+)(?:\[.*\])?==([^\s;\\]+)", lock.read_text("utf-8"), re.MULTILINE)
    others = [f"{name} {_version(name)} (lock: {pin})" for name, pin in pins
              if _version(name) != pin]  # fmt: skip
    if others:
        text = f"{len(others)} differ from the lock: {', '.join(others[:5])}"
        yield Finding("note", "packages", text, "numbers may differ; run `make environment`")
    else:
        yield Finding("ok", "packages", f"as in the lock ({len(pins)} pins)")


def _version(name: str) -> str:
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return "missing"


def disk_gib(cast: MiniCast | PaperCast) -> float:
    """What a study keeps: the waves of the mini corpus, or the paper's latents and tokens."""
    if isinstance(cast, MiniCast):
        values = TRACKS_KEPT * cast.corpus.n_clips * cast.corpus.n_samples
    else:
        clips, tracks = (int(paper_value(f"hyper.data.{name}")) for name in ("clips", "tracks"))
        frames = cast.n_samples // SAMPLES_PER_LATENT
        values = clips * 2 * frames * cast.vae.n_channels + tracks * FLAN_T5_STATES
    return 2 * values / GIB + BESIDES_DISK_GIB


def memory_gib(cast: MiniCast | PaperCast) -> float | None:
    """What the largest stage of the mini cast holds; None where a GPU decides."""
    if not isinstance(cast, MiniCast):
        return None
    waves = WAVES_LOADED * cast.corpus.n_train * cast.corpus.n_samples
    return 4 * waves / GIB + BESIDES_MEMORY_GIB


def disk(needed: float) -> Finding:
    """Whether the cache folder can be written and holds what the profile makes, in GiB."""
    root = cache_root()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        text = f"{place} is no folder that can be written"
        return Finding("problem", "disk", text, f"set {CACHE_VARIABLE} to another")
    free = shutil.disk_usage(place).free / GIB
    text = f"{free:.1f} GiB free at {root}; a whole study takes about {needed:.1f}"
    if free < needed:
        return Finding("problem", "disk", text, f"make room or set {CACHE_VARIABLE}")
    return Finding("ok", "disk", text)


def memory(one: float | None) -> Finding:
    """Whether the largest stage, of ``one`` GiB, fits once for each worker."""
    available, jobs = _available_memory() / GIB, os.cpu_count() or 1
    text = f"{available:.1f} GiB available"
    if one is None:
        return Finding("ok", "memory", text)
    text += f"; about {one:.1f} per worker at most, {jobs} workers"
    fitting = int(available // one)
    if fitting >= jobs:
        return Finding("ok", "memory", text)
    if fitting:
        return Finding("note", "memory", text, f"add `--jobs {fitting}` to `attm study`")
    return Finding("problem", "memory", text, "close other programs or use a larger machine")


def _available_memory() -> int:
    info = Path("/proc/meminfo")  # also counts caches that the kernel would give back
    found = re.search(r"MemAvailable:\s+(\d+)", info.read_text()) if info.exists() else None
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(found[1]) * 1024 if found else whole


def gpu() -> Finding:
    """Whether there is a GPU; without one the profile runs, but nobody would wait for it."""
    if torch.cuda.is_available():
        return Finding("ok", "gpu", torch.cuda.get_device_name())
    remedy = "`attm study --profile paper --dry-run` says how long each stage takes"
    return Finding("note", "gpu", "none found", remedy)


def paper_assets(stages: Iterable[Stage]) -> Iterator[Finding]:
    """What the published system reads and is not here: source, size, licence, consent."""
    needed = {name for stage in stages for name in stage.assets}
    for name in dict.fromkeys((*sorted(needed), *OPTIONAL)):
        yield _asset(load_manifest()[name], "problem" if name in needed else "note")
    text = "the full-size system runs with random weights without any of them"
    remedy = "`attm generate PROMPT --profile paper --random-weights`"
    yield Finding("note", "assets", text, remedy)


def _asset(asset: Asset, level: Literal["note", "problem"]) -> Finding:
    absent, place = absent_files(asset), asset_folder(asset.name)
    if absent == []:
        found = "`attm assets verify` compares digests" if asset.files else f"see {place}"
        return Finding("ok", "asset", f"{asset.name}: here; {found}")
    what, remedy = "by hand", f"{asset.note} Put it in {place}"
    if absent:
        what = f"{len(absent)} of {len(asset.files)} files"
        remedy = f"run `attm assets fetch {asset.name}`"
    size = f"{asset.size / 2**20:,.0f} MiB" if asset.size else "size not stated by its publisher"
    gated = ", gated: accept its terms at the source first" if asset.gated else ""
    text = f"{asset.name} is missing ({what}): {asset.homepage}, {size}, {asset.licence}{gated}"
    return Finding(level, "asset", text, remedy)


def run_doctor(options: argparse.Namespace) -> int:
    """Print what was found; 1 if something keeps the profile from running."""
    findings = list(examine(options.profile))
    print(*map(Finding.describe, findings), sep="\n")
    problems = sum(finding.level == "problem" for finding in findings)
    if problems:
        print(f"profile {options.profile} cannot run: {problems} problem(s) above")
        return 1
    print(f"profile {options.profile} can run: `attm study --profile {options.profile}`")
    return 0
