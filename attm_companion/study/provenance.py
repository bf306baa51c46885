"""Where a number came from: configuration, code, data, environment, machine, date."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from attm_core.precision import fast_dtype

ROOT = Path(__file__).resolve().parents[2]


def provenance(config_uid: str, data_hash: str) -> dict[str, Any]:
    """The facts that go with every result file.

    Args:
        config_uid: identity of the configuration behind the values.
        data_hash: hash of the corpus they were computed on.
    """
    return {
        "config_uid": config_uid,
        "data_hash": data_hash,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **environment(),
    }


@cache
def environment() -> dict[str, Any]:
    """Code commit, lock hash and hardware; the same for all results of a process."""
    return {
        "code_commit": code_commit(),
        "lock_hash": _short_hash(ROOT / "requirements.lock"),
        "hardware": hardware(),
        "python": platform.python_version(),
    }


def code_commit() -> str:
    """The commit of the working tree, with ``+changes`` if code differs from it."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return "unknown"
    changed = _git("status", "--porcelain", "--", "attm_core", "attm_companion", "notebooks")
    return commit + ("+changes" if changed else "")


def hardware() -> str:
    """Processor, cores, memory and the number format of its fast products, in words."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    precision = str(fast_dtype()).removeprefix("torch.")
    return f"{_processor()}, {os.cpu_count()} cores, {memory_gb:.0f} GiB, {precision}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _short_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.exists() else "unknown"


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ("git", *words), cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
