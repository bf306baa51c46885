"""What the benchmarks found, as tables: times, ratios to the reference, and what was wanted.

The files are those of ``make benchmarks``, ``results/benchmarks/*.json``. They belong to no
profile: speed is measured at full size, or at the mini study's, whatever the book was built with.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from attm_companion.commands.plan import PARTS_FILE
from attm_core.errors import ResultError
from attm_core.files import read_json

FOLDER = PARTS_FILE.parent
REFERENCE = "reference"
RATE, OWN_RATE, SHARE = "GFLOP/s", "matrix product, GFLOP/s", "share, %"
RATIO = "reference / this"
SAMPLING_RATIO, TRAINING_MS = 2.5, 60.0  # wanted
Run = Mapping[str, Any]


class Target(NamedTuple):
    """One figure that the project set out to reach."""

    name: str  # what is measured
    wanted: float  # the bound
    measured: float  # what was found
    at_most: bool  # whether smaller is better
    unit: str  # of both

    @property
    def verdict(self) -> str:
        """``"met"`` or ``"missed"``."""
        met = self.measured <= self.wanted if self.at_most else self.measured >= self.wanted
        return "met" if met else "missed"

    @property
    def sentence(self) -> str:
        """What to say of it in prose."""
        bound = f"{'at most' if self.at_most else 'at least'} {self.wanted:g}{self.unit}"
        found = f"{self.name}, {self.measured:.3g}{self.unit}"
        return f"{self.verdict.capitalize()}: {found}; {bound} wanted."


def read_benchmark(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The file of one benchmark; raises ``ResultError`` if there is none."""
    path = folder / f"{name}.json"
    if not path.is_file():
        raise ResultError(f"no {path.name} among the benchmarks: run make benchmarks in a checkout")
    found: dict[str, Any] = read_json(path)
    return found


def has_reference(run: Run) -> bool:
    """Whether the reference was measured in the same run."""
    return any(row["variant"].startswith(REFERENCE) for row in run["rows"])


def run_with_reference(found: Run) -> Run:
    """The newest run with the reference, in the file or kept beside it; else ``ResultError``."""
    run: Run | None = found if has_reference(found) else found.get("with_reference")
    if run is None:
        raise ResultError("no run has the reference: `make benchmarks REFERENCE=path/to/MeanAudio`")
    return run


def sampling_table(run: Run) -> pd.DataFrame:
    """A row a variant: seconds a guided step, ratio to the reference's best mode, rate, error.

    The error is the relative L2 distance, in per cent, of the final latent from that of the first
    row. Rates count the operations of the reference, so that Winograd's fewer ones show as speed.
    """
    return _frame(
        {
            "": row["variant"],
            "s a step": row["step_wall_s_best"],
            RATIO: (row["best_reference_over_this"] or {}).get("wall_s_best"),
            "error, %": 100 * row["relative_l2_to_first"],
            **shares(row["reference_gflops_a_second"], _rate_of(row["variant"], run["machine"])),
        }
        for row in run["rows"]
    )


def training_table(run: Run) -> pd.DataFrame:
    """A row a variant and width: milliseconds a step of 64 clips, ratio to the reference, rate."""
    rate = run["machine"]["matmul_gflops_bfloat16"]
    return _frame(
        {
            "": row["variant"],
            "ms a step": 1000 * row["wall_s_best"],
            RATIO: (row["reference_over_this"] or {}).get("wall_s_best"),
            **shares(row["gflop"] / row["wall_s_best"], rate),
        }
        for row in run["rows"]
    )


def frechet_table(found: Run) -> pd.DataFrame:
    """A row a way: milliseconds, ratio to the square root's, rate (operations by the textbook)."""
    rate = found["matmul_gflops_float64"]
    ours, reused = found["nuclear_norm_s"], found["nuclear_norm_reused_reference_s"]
    return _frame([
        {"": "square root of the product", "ms": 1000 * found["sqrtm_s"], RATIO: 1.0},
        {"": "nuclear norm", "ms": 1000 * ours, RATIO: found["ratio"],
         **shares(found["gflop"] / ours, rate)},
        {"": "nuclear norm, reference reused", "ms": 1000 * reused,
         RATIO: found["ratio_reused_reference"],
         **shares(found["gflop_reused_reference"] / reused, rate)},
    ])  # fmt: skip


def ratios_to_reference(sampling: Run, training: Run, frechet: Run) -> pd.Series:
    """Our variants and how many times longer the reference's best takes."""
    tables = {
        "sampling: ": sampling_table(run_with_reference(sampling)),
        "training: ": training_table(run_with_reference(training)),
        "": frechet_table(frechet)[1:],  # the first row is the reference's way
    }
    ours = {k: f[RATIO].filter(regex=f"^(?!{REFERENCE})").add_prefix(k) for k, f in tables.items()}
    all_ratios: pd.Series[Any] = pd.concat(list(ours.values()))
    return all_ratios


def targets(sampling: Run, training: Run, frechet: Run) -> list[Target]:
    """What was wanted of the three benchmarks, and what the newest comparable runs found."""
    ours = next(row for row in training["rows"] if not row["variant"].startswith(REFERENCE))
    step, ms = ours["variant"].removeprefix("ours "), 1000 * ours["wall_s_best"]
    ratio, difference = frechet["ratio"], frechet["difference"]
    return [
        *_sampling_targets(sampling),
        Target(f"training step, {step}", TRAINING_MS, ms, True, " ms"),
        Target("Fréchet distance, over the square root", 15.0, ratio, False, " ×"),
        Target("difference of the distances", 1e-6, difference, True, ""),
    ]


def target_table(found: list[Target]) -> pd.DataFrame:
    """A row a target: wanted, measured and the verdict."""
    return _frame(
        {
            "": item.name,
            "wanted": f"{'≤' if item.at_most else '≥'} {item.wanted:g}{item.unit}",
            "measured": f"{item.measured:.3g}{item.unit}",
            "verdict": item.verdict,
        }
        for item in found
    )


def limits(sampling: Run, training: Run) -> pd.DataFrame:
    """What would follow if the same operations ran as fast as a plain matrix product.

    Sampling: the matrix rate over the rate of the reference's best mode (Winograd's products, which
    need fewer operations, could go beyond). Training: a step's operations over the rate.
    """
    run = run_with_reference(sampling)
    theirs = _fastest(run, "", reference=True)
    most = _rate_of(theirs["variant"], run["machine"]) / theirs["reference_gflops_a_second"]
    least = 1000 * training["rows"][0]["gflop"] / training["machine"]["matmul_gflops_bfloat16"]
    rows = {
        "sampling": (f"≥ {SAMPLING_RATIO:g} ×", f"{most:.3g} ×"),
        "training step": (f"≤ {TRAINING_MS:g} ms", f"{least:.3g} ms"),
    }
    columns = ["wanted", "at the matrix rate"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _sampling_targets(found: Run) -> Iterator[Target]:
    run = run_with_reference(found)
    best, exact = _fastest(run, ""), _fastest(run, "float32")
    theirs = _fastest(run, "float32", reference=True)
    ratio = best["best_reference_over_this"]["wall_s_best"]
    alike = theirs["step_wall_s_best"] / exact["step_wall_s_best"]
    error, distance = 100 * best["relative_l2_to_first"], exact["relative_l2_to_first"]
    yield Target("sampling, over the reference's best mode", SAMPLING_RATIO, ratio, False, " ×")
    yield Target("error of its final latent", 1.0, error, True, " %")
    yield Target("sampling in float32, over the reference's", 1.3, alike, False, " ×")
    yield Target("error of its final latent in float32", 1e-4, distance, True, "")


def _fastest(run: Run, kind: str, reference: bool = False) -> Run:
    """The fastest variant of a kind, ours or the reference's."""
    ours: list[Run] = [r for r in run["rows"] if r["variant"].startswith(REFERENCE) is reference]
    asked = [row for row in ours if kind in row["variant"]]
    return min(asked, key=lambda row: float(row["step_wall_s_best"]))


def shares(achieved: float, rate: float) -> dict[str, float]:
    """Rate, the machine's plain matrix product, and the first in per cent of the second."""
    return {RATE: achieved, OWN_RATE: rate, SHARE: 100 * achieved / rate}


def _rate_of(variant: str, machine: Run) -> float:
    kind = "bfloat16" if "bfloat16" in variant else "float32"
    return float(machine[f"matmul_gflops_{kind}"])


def _frame(rows: Any) -> pd.DataFrame:
    return pd.DataFrame(list(rows)).set_index("")
