"""What the extraction of the training data costs besides its networks, and what it needs at scale.

    python benchmarks/jamendo.py [--clips 60 240] [--threads 1] [--note TEXT]
    python benchmarks/jamendo.py --rescale

Runs `attm_core.data.shards.extract` at two sizes, each in a process of its own, on MP3 tracks of
generated sound (stereo, 44.1 kHz, ten windows of 10 s each). The roles are the classes of the real
ones at toy width with random weights; a clock around each of them leaves what is our own: decoding,
levels, batching, scoring tables, files. Memory must not grow with the number of clips. The cost of
535,000 clips then follows from that and from the parts measured at full size by ``parts.py``, where
``results/benchmarks/parts.json`` exists. Writes ``results/benchmarks/jamendo.json``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import soundfile
import torch
from side_by_side import RESULTS, report

from attm_companion.world.config import (
    MelTowerConfig,
    MiniClapConfig,
    MiniDemucsConfig,
    MiniMertConfig,
)
from attm_companion.world.mini_clap import MiniClap
from attm_companion.world.mini_mert import MiniMert
from attm_companion.world.mini_separator import build_mini_demucs
from attm_companion.world.minilm import MiniLM
from attm_core.codec.mmaudio import MMAudioCodec
from attm_core.codec.mmaudio_vae import random_mmaudio_vae
from attm_core.configuration import MMAudioVAEConfig, WindowConfig
from attm_core.data.extraction import ExtractionCast, ExtractionConfig, read_windows
from attm_core.data.jamendo import Caption, window_table
from attm_core.data.shards import extract, open_latents
from attm_core.files import read_json, write_json
from attm_core.generation.separation import DemucsSeparator
from attm_core.randomness import numpy_generator, torch_generator
from attm_core.ranker.reward_model import RewardModel
from attm_core.ranker.tunejury import TuneJuryHead
from attm_core.weights import build

N_CLIPS, N_TRACKS = 535_000, 55_701  # the paper's clips; tracks of the data set's public score file
WINDOWS_A_TRACK = 10
TRACK_S, PAPER_TRACK_S = 100.0, 240.0
LATENT_VALUES, TOKEN_VALUES, POOLED_VALUES = 430 * 40, 77 * 1024, 512
CONFIG = ExtractionConfig(shard_size=20, batch_size=10)
WINDOWS = WindowConfig(n_valid=1, n_test=1)
CALLS_A_CLIP = {"separation": 1, "vae_encode": 1, "clap_audio": 2, "mert": 2}
CALLS_A_TRACK = {"text": 1, "clap_text": 2}  # conditioning and ranker read the caption
TERAFLOPS = 10.0
ASSUMPTIONS = {
    "clips": f"{N_CLIPS} clips of {N_TRACKS} tracks, one caption a track",
    "audio": f"our own share is measured on tracks of {TRACK_S:.0f} s; decoding is scaled to a "
    f"mean length of {PAPER_TRACK_S:.0f} s, which is a guess",
    "calls": "a clip is separated once, encoded once, and heard twice (mixture, stem)",
    "machine": "machine_days is calls times the cpu_s of parts.json, on the threads it names; a "
    "call in a batch costs what one alone does",
    "gpu": f"{TERAFLOPS:.0f} TFLOP/s sustained over all parts, which is a guess and not measured",
}


class Clocked:
    """A role, and the processor and wall seconds spent in its methods."""

    def __init__(self, role: Any, spent: list[float]) -> None:
        self._role, self._spent = role, spent

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._role, name)
        if not callable(value):
            return value

        def call(*arguments: Any) -> Any:
            processor, wall = time.process_time(), time.perf_counter()
            try:
                return value(*arguments)
            finally:
                self._spent[0] += time.process_time() - processor
                self._spent[1] += time.perf_counter() - wall

        return call


def small_cast(spent: list[float]) -> ExtractionCast:
    """Classes of the real roles, a few channels wide."""
    draw = torch_generator(0, "benchmarks", "jamendo")
    vae = random_mmaudio_vae(draw, MMAudioVAEConfig(width=8))
    tower, text = MelTowerConfig(channels=(4, 4, 4)), MiniLM(16)

    def clap() -> MiniClap:
        config = MiniClapConfig(width=16, hidden=16, tower=tower)
        return build(lambda: MiniClap(config, text), draw).eval()

    mert = build(lambda: MiniMert(MiniMertConfig(width=16, tower=tower)), draw).eval()
    demucs = MiniDemucsConfig(channels=4, depth=2, sample_rate_hz=44_100, segment_s=14.0)
    ranker = RewardModel(clap(), mert, [TuneJuryHead(16, 16, (8,))])
    roles = {
        "codec": MMAudioCodec(vae, None),
        "text": text,
        "clap": clap(),
        "separator": DemucsSeparator(build_mini_demucs(demucs, draw)),
        "ranker": ranker,
    }
    return ExtractionCast(**{name: Clocked(r, spent) for name, r in roles.items()}, uid="small")


def write_audio(root: Path, n_tracks: int) -> list[Caption]:
    """One MP3 of noise, copied under many names: decoding does not mind."""
    draw = numpy_generator(0, "benchmarks", "jamendo")
    noise = 0.1 * draw.normal(size=(round(TRACK_S * 44_100), 2))
    soundfile.write(str(root / "track.mp3"), noise, 44_100)
    captions = []
    for number in range(n_tracks):
        (root / f"{number % 100:02d}").mkdir(exist_ok=True)
        path = f"{number % 100:02d}/{number}.mp3"
        shutil.copyfile(root / "track.mp3", root / path)
        captions.append(Caption(path, f"Generated sound number {number}."))
    return captions


def peak_memory_mb() -> float:
    """The most that this process has held so far (unlike ru_maxrss, without its parent)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def measure(n_clips: int, threads: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    spent = [0.0, 0.0]
    cast = small_cast(spent)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        table = window_table(write_audio(root, n_clips // WINDOWS_A_TRACK), root, WINDOWS)
        cast.codec.encode(torch.zeros(1, 1, 441_000))  # library set-up
        spent[:] = [0.0, 0.0]
        before = peak_memory_mb()
        processor, wall = time.process_time(), time.perf_counter()
        extract(table, root, cast, root / "out", CONFIG)
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        return {
            "clips": len(table),
            "peak_memory_mb": peak_memory_mb(),
            "peak_memory_before_mb": before,
            "own_processor_s_per_1000_clips": 1000 * (processor - spent[0]) / len(table),
            "own_wall_s_per_1000_clips": 1000 * (wall - spent[1]) / len(table),
            "roles_processor_s_per_1000_clips": 1000 * spent[0] / len(table),
            **decoding(table, root),
            **reading(root / "out"),
        }


def decoding(table: pd.DataFrame, root: Path) -> dict[str, float]:
    """The part of our own share that grows with the length of a track."""
    rows = table[table["track_id"] == table["track_id"].iloc[0]]
    before = time.process_time()
    for _ in range(3):
        read_windows(root / rows["path"].iloc[0], rows["start_s"].tolist(), 10.0)
    spent = (time.process_time() - before) / 3
    return {"decoding_processor_s_per_1000_clips": 1000 * spent / len(rows)}


def reading(folder: Path) -> dict[str, float]:
    """Milliseconds of one training batch of 64 random clips from disk (in the page cache)."""
    clips = open_latents(folder)
    draw = torch_generator(0, "batches")
    times = []
    for _ in range(20):
        rows = torch.randint(len(clips), (64,), generator=draw)
        before = time.perf_counter()
        clips.batch(rows, draw)
        times.append(time.perf_counter() - before)
    return {"batch_of_64_ms_median": 1000 * sorted(times)[len(times) // 2]}


def at_scale(row: dict[str, Any]) -> dict[str, Any]:
    """Our own share and the published parts for all clips of the paper."""
    longer = PAPER_TRACK_S / TRACK_S - 1
    own = row["own_processor_s_per_1000_clips"]
    own += longer * row["decoding_processor_s_per_1000_clips"]
    bytes_a_clip, bytes_a_caption = 2 * 2 * LATENT_VALUES, 2 * TOKEN_VALUES + 4 * POOLED_VALUES
    found: dict[str, Any] = {
        "own_processor_hours": own * N_CLIPS / 1000 / 3600,
        "latents_gb_float16": bytes_a_clip * N_CLIPS / 1e9,
        "text_gb_float16": bytes_a_caption * N_TRACKS / 1e9,
        "assumptions": ASSUMPTIONS,
    }
    path = RESULTS / "parts.json"
    parts = read_json(path)["parts"] if path.exists() else {}
    missing = sorted({*CALLS_A_CLIP, *CALLS_A_TRACK} - set(parts))
    if missing:
        why = f"parts.json lacks {', '.join(missing)}; run parts.py, then this with --rescale"
        return {**found, "networks": None, "networks_missing": why}
    return {**found, "networks": networks(parts)}


def networks(parts: dict[str, dict[str, float]]) -> dict[str, Any]:
    calls = {name: n * N_CLIPS for name, n in CALLS_A_CLIP.items()}
    calls |= {name: n * N_TRACKS for name, n in CALLS_A_TRACK.items()}
    each = {
        name: {
            "calls": n,
            "machine_days": n * parts[name]["cpu_s"] / 86_400,
            "exaflop": n * parts[name]["gflop"] / 1e9,
        }
        for name, n in calls.items()
    }
    exaflop = sum(part["exaflop"] for part in each.values())
    days = sum(part["machine_days"] for part in each.values())
    hours = exaflop * 1e6 / TERAFLOPS / 3600
    return {"parts": each, "machine_days": days, "exaflop": exaflop, "gpu_hours": hours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, nargs=2, default=[60, 240])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--rescale", action="store_true", help="after parts.py was run")
    options = parser.parse_args()
    if options.rescale:
        found = read_json(RESULTS / "jamendo.json")
        found["at_scale"] = at_scale(found["rows"][-1])
        write_json(RESULTS / "jamendo.json", found)
        return
    torch.set_num_threads(options.threads)
    rows = []
    for n_clips in options.clips:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(measure, (n_clips, options.threads)))
        print(rows[-1], flush=True)
    growth = rows[1]["peak_memory_mb"] - rows[0]["peak_memory_mb"]
    sizes = {"shard_size": CONFIG.shard_size, "batch_size": CONFIG.batch_size}
    about = {"peak_memory_growth_mb": growth, "config": sizes, "note": options.note}
    report("jamendo", rows, at_scale=at_scale(rows[-1]), **about)


if __name__ == "__main__":
    main()
