"""``attm doctor``: can this machine run a profile, what is missing, and what would run."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from attm_companion.paper_numbers import paper_value
from attm_companion.study.profile import MiniCast, PaperCast
from attm_companion.study.stage import CACHE_VARIABLE, ancestry, cache_root
from attm_companion.study.study import Study
from attm_companion.tables.experiments import all_stages
from attm_companion.world.config import CorpusConfig
from attm_core.assets import Asset, absent_files, asset_folder, load_manifest
from attm_core.codec.mmaudio import SAMPLES_PER_LATENT
from attm_core.errors import ConfigError

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
DISTRIBUTION = "attm-companion"
PYTHON = (3, 11)
GIB = 2**30
TRACKS_KEPT = 3  # mix, instrumental, vocals, 2 bytes a sample
WAVES_LOADED = 4  # a CLAP stage holds mix and instrumental, float32, and once more as one tensor
BESIDES_DISK_GIB = 1.0  # models, features and results
BESIDES_MEMORY_GIB = 1.5  # interpreter, libraries and models; smoke workers peak at 1.2 to 1.4 GiB

# What the published system needs beyond this package, by what it is needed for.
PAPER_NEEDS = {
    "inference": (
        "submission", "vae", "vocoder", "flan_t5", "clap_conditioning", "roberta_tokenizer",
        "demucs",
    ),
    "scores": ("clap_evaluation", "mert", "tunejury", "song_describer", "released"),
    "training": ("mtg_jamendo", "music_arena", "musicprefs", "aime", "songeval"),
}  # fmt: skip

FLAN_T5_STATES = 77 * 1024  # values a caption

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        level: ``"problem"`` if the profile cannot run because of it.
        subject: what was looked at.
        text: what was found.
        remedy: what to do about it; empty if nothing.
    """

    level: Level
    subject: str
    text: str
    remedy: str = ""

    def describe(self) -> str:
        """The line, with the remedy after an arrow."""
        remedy = f" → {self.remedy}" if self.remedy else ""
        return f"{self.level:8} {self.subject:10} {self.text}{remedy}"


def examine(name: str) -> list[Finding]:
    """All findings about a profile, its machine first."""
    findings = [python_version(), *packages(), cores()]
    try:
        findings += _profile(Study(name))
    except ConfigError as error:
        remedy = "choose another with --profile"
        findings += [disk(), memory(), Finding("problem", "profile", str(error), remedy)]
    return findings


def _profile(study: Study) -> Iterator[Finding]:
    cast = study.profile.cast
    if isinstance(cast, MiniCast):
        yield disk(mini_disk_gib(cast.corpus))
        yield memory(mini_memory_gib(cast.corpus))
    else:
        yield disk(paper_disk_gib(cast))
        yield memory()
        yield gpu()
        yield from paper_assets()
    yield from stages(study)


def python_version(version: tuple[str, ...] = platform.python_version_tuple()) -> Finding:
    """Whether this is the Python the lock was made for."""
    wanted, found = ".".join(map(str, PYTHON)), ".".join(version)
    if tuple(map(int, version[:2])) == PYTHON:
        return Finding("ok", "python", found)
    return Finding("problem", "python", f"{found}, not {wanted}", "run `make environment`")


def packages(lock: Path = LOCK) -> Iterator[Finding]:
    """Direct dependencies that are missing, and versions that differ from the lock."""
    installed = _installed()
    missing = sorted(_required() - set(installed))
    if missing:
        text = f"missing: {', '.join(missing)}"
        yield Finding("problem", "packages", text, "run `make environment`")
    if not lock.exists():
        yield Finding("note", "packages", "no requirements.lock beside the package to compare with")
        return
    locked = locked_versions(lock.read_text(encoding="utf-8"))
    others = [
        f"{name} {installed[name]} (lock: {version})"
        for name, version in locked.items()
        if name in installed and installed[name].split("+")[0] != version
    ]
    if others:
        text = f"{len(others)} differ from the lock: {', '.join(others[:5])}"
        yield Finding("note", "packages", text, "numbers may differ; run `make environment`")
    elif not missing:
        yield Finding("ok", "packages", f"as in the lock ({len(locked)} pins)")


def locked_versions(text: str) -> dict[str, str]:
    """Version by normalised name in a requirements file with pins.

    >>> locked_versions("PyYAML==6.0.1")
    {'pyyaml': '6.0.1'}
    """
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {_normal(name): version for name, version in pins}


def _installed() -> dict[str, str]:
    named = ((item.metadata["Name"], item.version) for item in metadata.distributions())
    return {_normal(name): version for name, version in named if name}


def _required() -> set[str]:
    """Names of the dependencies of this package, without extras."""
    lines = [line for line in metadata.requires(DISTRIBUTION) or [] if "extra ==" not in line]
    return {_normal(match[0]) for line in lines if (match := re.match(r"[A-Za-z0-9._-]+", line))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def mini_disk_gib(corpus: CorpusConfig) -> float:
    """What a study of the mini cast keeps."""
    return 2 * TRACKS_KEPT * corpus.n_clips * corpus.n_samples / GIB + BESIDES_DISK_GIB


def mini_memory_gib(corpus: CorpusConfig) -> float:
    """What the largest stage of the mini cast holds."""
    return 4 * WAVES_LOADED * corpus.n_train * corpus.n_samples / GIB + BESIDES_MEMORY_GIB


def paper_disk_gib(cast: PaperCast) -> float:
    """Latents of the paper's number of clips and tokens of its tracks, in 2 bytes a value."""
    clips, tracks = (int(paper_value(f"hyper.data.{name}")) for name in ("clips", "tracks"))
    latents = clips * 2 * (cast.n_samples // SAMPLES_PER_LATENT) * cast.vae.n_channels
    return 2 * (latents + tracks * FLAN_T5_STATES) / GIB + BESIDES_DISK_GIB


def disk(needed: float | None = None) -> Finding:
    """Whether the cache folder can be written and holds what the profile makes, in GiB."""
    root = cache_root()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        text = f"{place} is no folder that can be written"
        return Finding("problem", "disk", text, f"set {CACHE_VARIABLE} to another")
    free = shutil.disk_usage(place).free / GIB
    text = f"{free:.1f} GiB free at {root}"
    if needed is None:
        return Finding("ok", "disk", text)
    text += f"; a whole study takes about {needed:.1f}"
    return _enough(free >= needed, "disk", text, f"make room or set {CACHE_VARIABLE}")


def memory(one: float | None = None) -> Finding:
    """Whether the largest stage, of ``one`` GiB, fits once for each worker."""
    available, jobs = _available_memory() / GIB, os.cpu_count() or 1
    text = f"{available:.1f} GiB available"
    if one is None:
        return Finding("ok", "memory", text)
    text += f"; about {one:.1f} a worker at most, {jobs} workers"
    fitting = int(available // one)
    if 1 <= fitting < jobs:
        return Finding("note", "memory", text, f"add `--jobs {fitting}` to `attm study`")
    return _enough(fitting >= jobs, "memory", text, "close other programs or use a larger machine")


def gpu() -> Finding:
    """Whether there is a GPU; without one the profile runs, but nobody would wait for it."""
    import torch

    if torch.cuda.is_available():
        return Finding("ok", "gpu", torch.cuda.get_device_name())
    remedy = "`attm study --profile paper --dry-run` says how long each stage takes"
    return Finding("note", "gpu", "none found", remedy)


def _available_memory() -> int:
    pages = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf(pages)
    info = Path("/proc/meminfo")  # also counts caches that the kernel would give back
    found = re.search(r"MemAvailable:\s+(\d+)", info.read_text()) if info.exists() else None
    return int(found[1]) * 1024 if found else free


def cores() -> Finding:
    """Number of cores, which is the number of workers."""
    return Finding("ok", "cores", f"{os.cpu_count()}; stages run in one worker a core")


def _enough(holds: bool, subject: str, text: str, remedy: str) -> Finding:
    return Finding("ok", subject, text) if holds else Finding("problem", subject, text, remedy)


def stages(study: Study) -> Iterator[Finding]:
    """For each kind of stage how many are cached, and the number that would run."""
    wanted, done = Counter[str](), Counter[str]()
    for stage in ancestry(all_stages(study)):
        wanted[stage.label] += 1
        done[stage.label] += stage.done
    for label, total in wanted.items():
        if total == 1:
            text = "cached" if done[label] else "to run"
        else:
            text = f"{done[label]} of {total} cached, {total - done[label]} to run"
        yield Finding("ok", "stage", f"{label}: {text}")
    waiting = wanted.total() - done.total()
    yield Finding("ok", "stages", f"{wanted.total()} in all, {waiting} to run")


def paper_assets() -> Iterator[Finding]:
    """What the published system needs and is not here: source, size, licence, consent."""
    manifest = load_manifest()
    for purpose, names in PAPER_NEEDS.items():
        for name in names:
            yield _asset(manifest[name], purpose)
    text = "the full-size system runs with random weights without any of them"
    remedy = "`attm generate PROMPT --profile paper --random-weights`"
    yield Finding("note", "assets", text, remedy)


def _asset(asset: Asset, purpose: str) -> Finding:
    absent = absent_files(asset)
    if absent is None:
        remedy = f"{asset.note} Put it in {asset_folder(asset.name)}"
        return Finding("problem", purpose, _absent(asset, "by hand"), remedy)
    if absent:
        text = _absent(asset, f"{len(absent)} of {len(asset.files)} files")
        return Finding("problem", purpose, text, f"run `attm assets fetch {asset.name}`")
    if not asset.files:
        text = f"{asset.name}: something is in {asset_folder(asset.name)}"
        return Finding("ok", purpose, text)
    return Finding("ok", purpose, f"{asset.name}: here; `attm assets verify` compares digests")


def _absent(asset: Asset, what: str) -> str:
    size = f"{asset.size / 2**20:,.0f} MiB" if asset.size else "size not stated by its publisher"
    gated = ", gated: accept its terms at the source first" if asset.gated else ""
    return f"{asset.name} is missing ({what}): {asset.homepage}, {size}, {asset.licence}{gated}"
