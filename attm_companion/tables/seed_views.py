"""What the training seeds say, as tables to read."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from attm_companion.study.results import Result
from attm_companion.tables.training_seeds import MECHANISMS, conclude


def verdict_table(result: Result) -> pd.DataFrame:
    """For reading: what the training seeds say of each mechanism."""
    found = conclude(result).iloc[: len(MECHANISMS)]
    wanted = found["paper"].map({1: "shows", -1: "shows", 0: "equivalent"})
    return pd.DataFrame(
        {
            "paper": found["paper"].map({1: "up", -1: "down", 0: "no change"}),
            "effect": found["effect"],
            "95 % over seeds": _intervals(found),
            "detectable": found["detectable"],
            "verdict": found["verdict"],
            "as the paper": found["verdict"].eq(wanted).map({True: "yes", False: "no"}),
            "seeds needed": found["seeds_needed"],
        }
    )


def contrast_table(result: Result, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """For reading: some contrasts in all metrics, with their intervals over seeds."""
    found = conclude(result)
    found["text"] = found["effect"].map("{:+.3f} ".format) + _intervals(found)
    found["pair"] = found["row"] + " − " + found["against"]
    table = found.pivot(index="pair", columns="metric", values="text")
    wanted = [name for name in (f"{row} − {against}" for row, against in pairs) if name in table.T]
    table = table.loc[wanted, ["reward", "clap", "fad"]]
    return table.set_axis(["Reward", "CLAP", "FAD"], axis=1)


def _intervals(frame: pd.DataFrame) -> pd.Series[str]:
    ends = zip(frame["low"], frame["high"], strict=True)
    return pd.Series([f"[{low:+.3f}, {high:+.3f}]" for low, high in ends], frame.index)
