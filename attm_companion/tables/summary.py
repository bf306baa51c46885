"""What the study says about each mechanism of the paper, by one rule read from the result files."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from attm_companion.study.results import Result, Value


class Mechanism(NamedTuple):
    """One mechanism, and the value that decides whether it shows."""

    name: str  # in the paper's words
    experiment: str  # whose table holds the value
    query: str  # a difference with a 95 % interval, in the words of `Result.__getitem__`
    direction: int  # +1 or −1 as the paper has it; 0 if the paper says "no effect"

    def value(self, results: Mapping[str, Result]) -> Value:
        """The value that decides."""
        return results[self.experiment][self.query]


def _step(metric: str, row: int) -> str:
    return f"{metric} of row{row} against row{row - 1}"


def _crossing(stage: str, weights: str, forward: str) -> str:
    return f"reward of {stage}.{weights}_{forward} against {stage}.{weights}_{weights}"


MECHANISMS = (
    Mechanism("score knob after SFT: Δ_out of v1", "head_sweep", "delta_out of v1", 1),
    Mechanism("score knob after SFT: Δ_out of v2", "head_sweep", "delta_out of v2", 1),
    Mechanism("score conditioning lifts Reward", "cumulative", _step("reward", 1), 1),
    Mechanism("score conditioning lifts CLAP", "cumulative", _step("clap", 1), 1),
    Mechanism("expert iteration lifts Reward", "cumulative", _step("reward", 2), 1),
    Mechanism("expert iteration lifts CLAP", "cumulative", _step("clap", 2), 1),
    Mechanism("v1 → v2 costs no Reward (SFT)", "cross_mechanism", _crossing("sft", "v1", "v2"), 0),
    Mechanism(
        "v1 → v2 costs no Reward (chain)", "cross_mechanism", _crossing("chain", "v1", "v2"), 0
    ),
    Mechanism("CRPO changes no Reward", "cumulative", _step("reward", 4), 0),
    Mechanism("CRPO changes no CLAP", "cumulative", _step("clap", 4), 0),
    Mechanism("v2 → v1 loses Reward (SFT)", "cross_mechanism", _crossing("sft", "v2", "v1"), -1),
    Mechanism(
        "v2 → v1 loses Reward (chain)", "cross_mechanism", _crossing("chain", "v2", "v1"), -1
    ),
    Mechanism(
        "knob at SFT: Reward at s = 2 over 0", "score_sweep", "reward of sft at s=2 against s=0", 1
    ),
    Mechanism(
        "knob after the chain is flat: s = 5 over 0",
        "score_sweep",
        "reward of hybrid at s=5 against s=0",
        0,
    ),
    Mechanism(
        "full-mix reward brings voices", "full_mix", "vocals of full_mix against instrumental", 1
    ),
)


def verdict(value: Value, direction: int) -> str:
    """``shows``, ``not seen`` or ``contradicts``, from the 95 % interval alone.

    Where the paper says "no effect", an interval that covers zero is ``consistent`` (it cannot
    show absence), and one that does not is ``contradicts``.
    """
    low, high = value.low, value.high
    if low is None or high is None:
        return "no interval"
    excludes = low > 0 or high < 0
    if direction == 0:
        return "contradicts" if excludes else "consistent"
    if not excludes:
        return "not seen"
    return "shows" if (value.value > 0) == (direction > 0) else "contradicts"


def summarize(results: Mapping[str, Result]) -> pd.DataFrame:
    """A line per mechanism: effect, 95 % interval, n, what the study says."""
    lines = {}
    for mechanism in MECHANISMS:
        value = mechanism.value(results)
        lines[mechanism.name] = {
            "paper": {1: "up", -1: "down", 0: "no change"}[mechanism.direction],
            "effect": value.value,
            "95 %": "—" if value.low is None else f"[{value.low:.3f}, {value.high:.3f}]",
            "n": value.n,
            "mini study": verdict(value, mechanism.direction),
        }
    return pd.DataFrame.from_dict(lines, orient="index")
