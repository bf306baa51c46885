"""What the agreement of metrics with true utility allows to say, as sentences."""

from itertools import combinations
from typing import Any

import numpy as np

from attm_companion.book.result_views import METRIC_NAMES
from attm_companion.book.tables import HtmlView, live, paragraph
from attm_companion.study.results import Result
from attm_core.evaluation.statistics import pearson

UNPROCESSED = "no_post"  # the condition without the deployed post-processing
ENOUGH = 0.9  # correlation over conditions from which on Reward is read as utility
METRICS = {name: words.rstrip(" ↑↓") for name, words in METRIC_NAMES.items()}


def answer(result: Result) -> HtmlView:
    """Which metric follows true utility most closely, between models and between clips."""
    text = "<strong>Answer.</strong> "
    if not (over := _lines(result, "over conditions")):
        return paragraph(text + "There is no oracle of true utility in this study.")
    best = max(over, key=lambda metric: over[metric].value)
    text += f"Between models, {METRICS[best]} follows true utility most closely: Spearman's ρ "
    text += live(result, over[best], ".2f")
    if unclear := [METRICS[name] for name, line in over.items() if not _clear(line.low, line.high)]:
        text += f"; not seen to follow it: {', '.join(unclear)}"
    if wrong := [METRICS[name] for name, line in over.items() if _clear(line.low, line.high) < 0]:
        text += f"; against it: {', '.join(wrong)}"
    if within := _lines(result, "within a condition"):
        best = max(within, key=lambda metric: within[metric].value)
        text += f". Between the clips of one model it is {METRICS[best]}, with a mean r of "
        text += live(result, within[best], ".2f")
    return paragraph(text + ".")


def reward_sentence(result: Result) -> HtmlView:
    """How mean Reward goes with mean true utility, and what may not be concluded from it."""
    values = {
        line.row: (line.value, result[f"utility of {line.row}"].value)
        for line in result.values
        if line.metric == "reward"
        and not line.against
        and line.row != UNPROCESSED
        and result.find(f"utility of {line.row}")
    }
    reward, utility = np.array(list(values.values())).T
    found = pearson(reward, utility)
    pairs = list(combinations(range(len(values)), 2))
    turned = sum((reward[i] - reward[j]) * (utility[i] - utility[j]) < 0 for i, j in pairs)
    below = (
        f"below {ENOUGH}: from a difference in Reward between two models it may not be concluded"
        " that the listeners of this world prefer the one. A gain in Reward is reported in this"
        " book as a gain in Reward, and nothing more."
    )
    above = (
        f"at least {ENOUGH}, so a clear difference in Reward between two models may be read as one"
        " in what the listeners of this world prefer."
    )
    return paragraph(
        f"Over {len(values)} conditions, with the post-processing as deployed, mean Reward and mean"
        f" true utility have r = {found.describe(2)}; {turned / len(pairs):.0%} of the pairs of"
        " conditions are ordered differently by the two. This r is "
        + (above if found.estimate >= ENOUGH else below)
    )


def _lines(result: Result, row: str) -> dict[str, Any]:
    return {line.metric: line for line in result.values if line.row == row}


def _clear(low: float | None, high: float | None) -> int:
    """+1 or −1 if an interval lies on one side of zero, else 0."""
    return int((low or 0) > 0) - int((high or 0) < 0)
