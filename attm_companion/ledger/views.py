"""Pictures of the release audit: the same from a fresh audit and from committed figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from attm_companion.arrays import Array
from attm_companion.book.figures import MARKERS, PALETTE
from attm_companion.ledger.release.audit import Audit
from attm_companion.ledger.release.clips import MeasuredClip, table_of
from attm_companion.ledger.release.files import SYSTEMS
from attm_companion.ledger.release.noise_sharing import correlation_matrix
from attm_companion.paper_numbers import load_paper
from attm_core.evaluation.statistics import holm

TABLE2_ROWS = {"baseline": "row0", "sub1": "row4", "sub2": "sub2"}
NAMES = {"baseline": "baseline", "sub1": "Sub. 1", "sub2": "Sub. 2"}
COLOURS = dict(zip(SYSTEMS, PALETTE, strict=False))
SHAPES = dict(zip(SYSTEMS, MARKERS, strict=False))


def describe_audit(audit: Audit) -> str:
    """Where the figures come from, in a sentence."""
    seen = audit["provenance.clips_seen"]
    how = "measured in this run (Level A)"
    if not audit.measured_now:
        how = "as last measured, not in this run (Level B)"
    revisions = ", ".join(f"{k} {v[:7]}" for k, v in audit["provenance.revisions"].items())
    return f"The release {how}: {seen} of 300 public clips ({revisions})."


def _look(name: str) -> dict[str, Any]:
    return {"color": COLOURS[name], "marker": SHAPES[name], "label": NAMES[name]}


def _centres(histogram: dict[str, Any]) -> Array:
    edges: Array = np.array(histogram["edges"])
    return (edges[:-1] + edges[1:]) / 2


def plot_levels(
    axis: Axes, audit: Audit, measured: Sequence[MeasuredClip], measure: str, line: float
) -> None:
    """One measure of each clip by prompt, or its range by system, with the value promised.

    ``measure`` is ``"loudness_lufs"`` or ``"true_peak_dbtp"``, ``line`` what the paper promises.
    """
    if measured:
        table = table_of(measured)
        for name, rows in table.groupby("system"):
            axis.scatter(rows.prompt_id, rows[measure], s=22, **_look(str(name)))
        axis.set_xlabel("prompt")
    else:
        _plot_ranges(axis, audit, measure)
    axis.axhline(line, color="black", linestyle="--", marker="", label=f"promised: {line:g}")
    axis.legend()


def _plot_ranges(axis: Axes, audit: Audit, measure: str) -> None:
    for position, name in enumerate(SYSTEMS):
        span = audit[f"clips.systems.{name}.{measure}"]
        axis.plot([position, position], [span["min"], span["max"]], color=COLOURS[name], marker="_")
        label = f"{NAMES[name]}: median and range"
        axis.scatter([position], [span["median"]], **_look(name) | {"label": label})
    axis.set_xticks(range(len(SYSTEMS)), [NAMES[name] for name in SYSTEMS])


def plot_top_spectra(axis: Axes, audit: Audit) -> None:
    """Median spectra of the last 2.5 kHz below Nyquist."""
    spectra = audit["clips.top_spectra"]
    frequency = np.array(spectra["frequency_hz"]) / 1000
    for name, level in spectra["level_db"].items():
        axis.plot(frequency, level, markersize=4, **_look(name))
    axis.set(xlabel="frequency (kHz)", ylabel="level (dB re full scale² / Hz)")
    axis.legend()


def plot_lags(axis: Axes, audit: Audit) -> None:
    """Mean correlation of fine detail by shift between the prompts of two systems."""
    for number, (pair, found) in enumerate(audit["clips.noise.between"].items()):
        lags = {int(lag): value for lag, value in found["profile"].items()}
        order = sorted(lags)
        first, second = pair.split("_")
        axis.plot(order, [lags[lag] for lag in order], color=PALETTE[number + 3],
                  marker=MARKERS[number + 3], markersize=5,
                  label=f"{NAMES[first]} and {NAMES[second]}")  # fmt: skip
    axis.set(xlabel="prompt of the second minus prompt of the first", ylabel="mean correlation")
    axis.legend()


def plot_noise_matrix(axis: Axes, audit: Audit, measured: Sequence[MeasuredClip]) -> None:
    """Correlations between all clips; without clips, the same-prompt means between systems."""
    if measured:
        matrix = correlation_matrix([one.detail for one in measured])
        labels = [one.measures["system"] for one in measured]
    else:
        matrix, labels = np.eye(len(SYSTEMS)), list(SYSTEMS)
        for pair, found in audit["clips.noise.between"].items():
            i, j = (SYSTEMS.index(name) for name in pair.split("_"))
            matrix[i, j] = matrix[j, i] = found["same_prompt_mean"]
    present = [name for name in SYSTEMS if name in labels]
    ticks = [labels.index(name) + (labels.count(name) - 1) / 2 for name in present]
    names = [NAMES[name] for name in present]
    image = axis.imshow(matrix, vmin=-0.4, vmax=0.4, cmap="RdBu_r")
    axis.set_xticks(ticks, names)
    axis.set_yticks(ticks, names)
    axis.grid(False)
    axis.figure.colorbar(image, ax=axis, label="correlation of fine detail")


def table2_rows(audit: Audit) -> pd.DataFrame:
    """Public means beside Table II, with their standard errors, a row a system and metric."""
    rows = {
        f"{NAMES[system]}, {metric}": {
            "public": audit[f"scores.{metric}.systems.{system}.mean"],
            "paper": load_paper()[f"table2.{place}.{metric}"],
            "standard error": audit[f"scores.{metric}.systems.{system}.se"],
        }
        for metric in ("clap", "reward")
        for system, place in TABLE2_ROWS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def length_rows(audit: Audit) -> pd.DataFrame:
    """Paired tests in thirds of the prompts by length, with Holm's correction over all rows."""
    rows = {
        f"{third} ({found['words'][0]}–{found['words'][1]} words), {metric}, "
        f"{pair.replace('_', ' → ')}": found["pairs"][pair]
        for metric in ("clap", "reward")
        for third, found in audit[f"scores.{metric}.by_length"].items()
        for pair in ("baseline_sub1", "sub1_sub2")
    }
    frame = pd.DataFrame.from_dict(rows, orient="index").rename(
        columns={"p_two_sided": "p two-sided"}
    )
    frame["Holm"] = holm(list(frame["p two-sided"]))
    return frame[["n", "difference", "p two-sided", "Holm", "d_z"]]


def plot_score_histogram(axis: Axes, audit: Audit, metric: str) -> None:
    """Distribution of the public per-prompt scores, with the means printed in Table II."""
    histogram = audit[f"scores.{metric}.histogram"]
    for name, counts in histogram["counts"].items():
        axis.plot(_centres(histogram), counts, **_look(name))
        printed = load_paper()[f"table2.{TABLE2_ROWS[name]}.{metric}"]
        axis.axvline(printed, color=COLOURS[name], linestyle=":", marker="")
    axis.set(xlabel={"clap": "CLAP score"}.get(metric, "Reward"), ylabel="prompts")
    axis.legend()


def plot_track_scores(axis: Axes, audit: Audit) -> None:
    """The ranker's scores of real tracks, with the submitted mean and the mean of kept clips."""
    for number, (name, label) in enumerate((("jamendo", "MTG-Jamendo"), ("sdd", "Song Describer"))):
        histogram = audit[f"tracks.{name}.histogram"]
        counts = np.array(histogram["counts"])
        axis.plot(_centres(histogram), counts / counts.sum(), color=PALETTE[number + 4],
                  marker=MARKERS[number + 3], markersize=4, label=label)  # fmt: skip
    marks = {"Sub. 1": audit["scores.reward.systems.sub1.mean"],
             "kept clips": load_paper()["text.kept_reward_mean"]}  # fmt: skip
    for (label, value), style in zip(marks.items(), ("--", ":"), strict=True):
        axis.axvline(value, color="black", linestyle=style, marker="", label=label)
    axis.set(xlabel="reward", ylabel="share of tracks")
    axis.legend()


def plot_reliability(axis: Axes, audit: Audit) -> None:
    """The ranker's public reliability bins."""
    found = audit["ranker"]
    axis.plot([0.5, 1], [0.5, 1], color="grey", linestyle="--", marker="", label="calibrated")
    axis.plot(found["confidence"], found["winrate"], label="public bins")
    axis.set(xlabel="confidence", ylabel="share of votes that agree")
    axis.legend()
