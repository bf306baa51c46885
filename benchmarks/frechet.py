"""Fréchet distance: nuclear norm against ``scipy.linalg.sqrtm``, 100 against 706 at d = 512.

Run ``python benchmarks/frechet.py``; it writes ``results/benchmarks/frechet.json``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import linalg
from side_by_side import RESULTS, in_turn, machine

from attm_core.evaluation.frechet import ReferenceStatistics, frechet_distance
from attm_core.files import write_json
from attm_core.randomness import numpy_generator


def by_square_root(a: np.ndarray, b: np.ndarray) -> float:
    """The released evaluation's formula: covariances, ``sqrtm`` of their product, real part."""
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    delta = a.mean(axis=0) - b.mean(axis=0)
    root = linalg.sqrtm(s1 @ s2).real
    return float(delta @ delta + np.trace(s1) + np.trace(s2) - 2 * np.trace(root))


def embeddings(n: int, d: int, stream: str, shift: float) -> np.ndarray:
    """Unit-norm rows with a decaying spectrum, as CLAP embeddings have."""
    mixing = np.linalg.qr(numpy_generator(0, "mixing").normal(size=(d, d)))[0]
    scale = 1 / np.sqrt(np.arange(1, d + 1))
    rows = numpy_generator(0, stream).normal(size=(n, d)) * scale @ mixing + shift
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def seconds(work: Callable[[], float], repeats: int) -> float:
    """Best wall time of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def matmul_gflops(n: int = 1024, repeats: int = 5) -> float:
    """Plain float64 matrix-product rate of the machine in this run."""
    a = numpy_generator(0, "matmul").normal(size=(n, n))
    return 2 * n**3 / seconds(lambda: float((a @ a)[0, 0]), repeats) / 1e9


def operations(n: int, m: int, d: int) -> dict[str, float]:
    """10⁹ operations by the textbook's counts (Golub and Van Loan), for n < d < m.

    A reference that is used again is a QR factor of d by d; one that is used once stays m by d.
    """

    def overlap(k: int) -> float:
        return (2 * n * d * k + 4 * k * n**2 - 4 * n**3 / 3) / 1e9

    return {"gflop": overlap(m), "gflop_reused_reference": overlap(d)}


def measure(n: int, m: int, d: int, repeats: int) -> dict[str, Any]:
    """Times, ratios and agreement of the three ways."""
    a, b = embeddings(n, d, "generated", 0.02), embeddings(m, d, "reference", 0.0)
    statistics = ReferenceStatistics.of(b)
    ways = {
        "root": lambda: by_square_root(a, b),
        "ours": lambda: frechet_distance(a, b),
        "reused": lambda: frechet_distance(a, statistics),
    }
    best = {name: times["wall_s_best"] for name, times in in_turn(ways, repeats).items()}
    root, ours, reused = best["root"], best["ours"], best["reused"]
    expected, found = by_square_root(a, b), frechet_distance(a, b)
    return {
        "n": n,
        "m": m,
        "d": d,
        "sqrtm_s": root,
        "nuclear_norm_s": ours,
        "nuclear_norm_reused_reference_s": reused,
        "ratio": root / ours,
        "ratio_reused_reference": root / reused,
        "sqrtm_distance": expected,
        "nuclear_norm_distance": found,
        "difference": abs(expected - found),
        "matmul_gflops_float64": matmul_gflops(),
        **operations(n, m, d),
        "benchmark": "frechet",
        "machine": machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--output", type=Path, default=RESULTS / "frechet.json")
    arguments = parser.parse_args()
    result = measure(100, 706, 512, arguments.repeats)
    write_json(arguments.output, result)
    for name, value in result.items():
        print(f"{name:34} {value}")


if __name__ == "__main__":
    main()
