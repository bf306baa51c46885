"""The published system at full size, as tables: its parts, one clip, the data set, the study.

All of it is reckoned from ``results/benchmarks/parts.json`` and ``jamendo.json`` and from the plan
of the study (`attm_companion.commands.plan`).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

from attm_companion.book.benchmark_tables import shares
from attm_companion.commands.plan import DECODED, GUIDED, PETA, Planned, Prices
from attm_core.constants import N_PASSES
from attm_core.errors import ConfigError

SHARE_OF_TIME = "share of time, %"
STAGE_1 = "hours at Stage 1's rate"
MEGA = 1e6


def parts_table(found: Mapping[str, Any]) -> pd.DataFrame:
    """A row a part: seconds, memory, operations, weights, share of the matrix rate.

    The rate is the part's own, taken just before it, or the file's where a part has none.
    """
    rate = found["machine"]["matmul_gflops_float32"]
    rows = {}
    for name, part in found["parts"].items():
        achieved = part["gflop"] / part["wall_s"]
        rows[name.replace("_", " ")] = {
            "s a call": part["wall_s"],
            "GFLOP a call": part["gflop"],
            "peak memory, MB": part["peak_memory_mb"],
            "weights, million": part["parameters"] / MEGA,
            **shares(achieved, part.get("matmul_gflops", rate)),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def calls_of_a_clip(n_steps: int) -> Counter[str]:
    """Part → calls, for one clip as deployed: conditions, guided steps, decoder, three passes."""
    made = Counter(text=1, clap_text=1, velocity=n_steps * GUIDED) + DECODED
    return made + Counter(separation=N_PASSES)


def clip_table(found: Mapping[str, Any], n_steps: int) -> pd.DataFrame:
    """A row a part of one clip: calls, seconds, GFLOP and share of the time; the slowest first."""
    parts = found["parts"]
    rows = {
        name.replace("_", " "): {
            "calls": n,
            "seconds": n * parts[name]["wall_s"],
            "GFLOP": n * parts[name]["gflop"],
        }
        for name, n in calls_of_a_clip(n_steps).items()
    }
    frame = pd.DataFrame.from_dict(rows, orient="index").astype({"calls": int})
    frame[SHARE_OF_TIME] = 100 * frame["seconds"] / frame["seconds"].sum()
    return frame.sort_values("seconds", ascending=False)


def memory_table(found: Mapping[str, Any]) -> pd.DataFrame:
    """A row a size of the extraction: peak memory, and our own processor time by 1000 clips."""
    names = {
        "clips": "clips",
        "peak_memory_mb": "peak memory, MB",
        "own_processor_s_per_1000_clips": "own processor s / 1000 clips",
        "decoding_processor_s_per_1000_clips": "decoding alone",
        "batch_of_64_ms_median": "ms a batch of 64 from disk",
    }
    return pd.DataFrame(found["rows"])[list(names)].rename(columns=names).set_index("clips")


def extraction_table(found: Mapping[str, Any]) -> pd.DataFrame:
    """A row a part of extracting all clips: calls, EFLOP, days; ``ConfigError`` without parts."""
    networks = found["at_scale"]["networks"]
    if networks is None:
        raise ConfigError(found["at_scale"]["networks_missing"])
    names = {"machine_days": "days on the machine", "exaflop": "EFLOP"}
    frame = pd.DataFrame.from_dict(networks["parts"], orient="index").astype({"calls": int})
    frame = frame.rename(columns=names, index=lambda name: name.replace("_", " "))
    return frame.sort_values("days on the machine", ascending=False)


def plan_table(planned: list[Planned], prices: Prices) -> pd.DataFrame:
    """A row a kind of stage, the largest first; ``ConfigError`` unless the cast is the paper's."""
    work: defaultdict[str, Counter[str]] = defaultdict(Counter)
    number = Counter(item.stage.label for item in planned)
    for item in planned:
        work[item.stage.label] += item.work
    rows = {
        label: {
            "number": number[label],
            "PFLOP": prices.flop(calls) / PETA,
            STAGE_1: prices.gpu_hours(calls),
            "days on the machine": prices.cpu_hours(calls) / 24,
        }
        for label, calls in work.items()
        if calls
    }
    if not rows:
        raise ConfigError("only stages of the paper's cast have a price: plan the profile 'paper'")
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("PFLOP", ascending=False)
