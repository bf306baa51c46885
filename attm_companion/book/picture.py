"""One picture of a study's results, for the README and the first page of the book.

``python -m attm_companion.book.picture mini OUT`` draws it.

Left: Reward along the chain, a dot per training seed where there are several (else Table II);
right: Reward against the input score (Fig. 2).
"""

import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import seaborn
from matplotlib.axes import Axes

from attm_companion.book.figures import use_style
from attm_companion.book.result_views import plot_curve, plot_intervals
from attm_companion.study.result_files import read_table, results_folder
from attm_companion.tables.training_seeds import by_seed
from attm_core.files import write_atomic

SEEDS = {
    "baseline": "baseline",
    "SFT (v1)": "v1",
    "no experts": "control",
    "random 64": "random_64",
    "experts": "experts",
    "+ cross-load": "experts_v2",
    "+ CRPO": "crpo",
}
CHAIN = {
    "baseline": "row0",
    "SFT (v1)": "row1",
    "+ experts": "row2",
    "+ cross-load": "row3",
    "+ CRPO": "row4",
}


def draw_results(results: Path, path: Path) -> Path:
    """Draw the picture from a profile's folder; ``ResultError`` if a file is missing."""
    matplotlib.use("Agg")

    use_style()
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4))
    if (results / "training_seeds.csv").exists():
        _draw_seeds(axes[0], by_seed(read_table(results / "training_seeds.csv", results.name)))
    else:
        chain = read_table(results / "cumulative.csv", results.name)
        plot_intervals(axes[0], chain, CHAIN, "reward")
        axes[0].legend(fontsize=8)
    sweep = read_table(results / "score_sweep.csv", results.name)
    for name, label in (("sft", "SFT only"), ("hybrid", "hybrid (submitted chain)")):
        points = sweep.frame.query(f"row == '{name}' and metric == 'reward' and against == ''")
        plot_curve(axes[1], points, label)
    axes[1].set(xlabel="input score s", ylabel="Reward")
    axes[1].legend(fontsize=8)
    drawn = write_atomic(path, lambda part: figure.savefig(part, dpi=110))
    plt.close(figure)
    return drawn


def _draw_seeds(axis: Axes, seeds: pd.DataFrame) -> None:
    values = pd.DataFrame({label: seeds[row, "reward"] for label, row in SEEDS.items()})
    seaborn.swarmplot(values, orient="h", size=5, ax=axis, legend=False)
    axis.plot(values.mean(), range(len(SEEDS)), "|", color="black", markersize=16)
    axis.set(xlabel=f"Reward ↑ (a dot per training seed, {len(values)}; mean)", ylabel="")


if __name__ == "__main__":
    print(draw_results(results_folder(sys.argv[1]), Path(sys.argv[2])))
