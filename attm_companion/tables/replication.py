"""Two full runs of one protocol: does a second training say the same (beyond the paper).

An interval over prompts answers "would other prompts say the same of this model?". Two runs that
share protocol and seeds, on machines whose rounding differs, also answer "would another training?".
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from attm_companion.study.results import Result
from attm_companion.tables.summary import MECHANISMS, summarize

Z_95 = 1.959964
LINE = ["row", "against", "s", "training_seed", "generation_seed", "metric"]


def verdicts(run: Mapping[str, Result]) -> dict[str, str]:
    """Every verdict of a run by the name of what it is on: mechanisms first, then single tests."""
    found = {}
    if {mechanism.experiment for mechanism in MECHANISMS} <= set(run):
        found = {f"mechanism: {name}": said for name, said in summarize(run)["mini study"].items()}
    for experiment, result in run.items():
        for query, line in result.named.items():
            if line.verdict:
                found[f"{experiment}: {query}"] = line.verdict
    return found


def mechanisms(first: Mapping[str, Result], second: Mapping[str, Result]) -> pd.DataFrame:
    """What each run says about every mechanism of the paper, side by side."""
    shown = {"effect": "effect", "95 %": "95\N{NO-BREAK SPACE}%", "mini study": "says"}
    one, two = (summarize(run)[list(shown)].rename(columns=shown) for run in (first, second))
    both = one.add_prefix("first run: ").join(two.add_prefix("second run: "))
    same = both["first run: says"] == both["second run: says"]
    both["same"] = np.where(same, "yes", "no")
    return both


def pairs(first: Mapping[str, Result], second: Mapping[str, Result]) -> pd.DataFrame:
    """Lines of both runs side by side, those with an interval of some width in both.

    Returns:
        The columns of a result, those of the second run with suffix ``_second``, and ``z``: the
        difference in units of the standard error that the two intervals imply. A line that several
        experiments repeat stands once.
    """
    shared = sorted(set(first) & set(second))
    tables = [
        first[name]
        .frame.merge(second[name].frame, on=LINE, suffixes=("", "_second"))
        .assign(experiment=name)
        for name in shared
    ]
    both = pd.concat(tables, ignore_index=True)
    widths = [both[f"high{end}"] - both[f"low{end}"] for end in ("", "_second")]
    both["z"] = (both["value_second"] - both["value"]) / (
        np.hypot(widths[0], widths[1]) / (2 * Z_95)
    )
    both = both[(widths[0] > 0) & (widths[1] > 0)]
    return both.drop_duplicates(["metric", "against", "value", "value_second", "low", "high"])


def agreement(first: Mapping[str, Result], second: Mapping[str, Result]) -> pd.DataFrame:
    """How far apart two runs are, measured in their own intervals, a row per metric.

    Returns:
        Columns ``n``, ``beyond 1.96`` (share of values that differ by more than sampling of prompts
        explains; 0.05 if it explained all) and ``rms z`` (1 if it did).
    """
    both = pairs(first, second)
    rows = {}
    for metric in ("fad", "clap", "reward"):
        z = both.loc[(both["metric"] == metric) & (both["against"] == ""), "z"]
        rows[metric] = {
            "n": len(z),
            "beyond 1.96": (z.abs() > Z_95).mean(),
            "rms z": float(np.sqrt((z**2).mean())),
        }
    return pd.DataFrame.from_dict(rows, orient="index")
