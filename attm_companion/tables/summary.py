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


def _step(name: str, metric: str, row: int, direction: int) -> Mechanism:
    """A row of Table II against the one before."""
    return Mechanism(name, "cumulative", f"{metric} of row{row} against row{row - 1}", direction)


def _crossing(name: str, stage: str, weights: str, other: str, direction: int) -> Mechanism:
    """Weights in the other forward of Table III against their own."""
    query = f"reward of {stage}.{weights}_{other} against {stage}.{weights}_{weights}"
    return Mechanism(name, "cross_mechanism", query, direction)


def _knob(name: str, model: str, s: int, direction: int) -> Mechanism:
    """A point of Fig. 2 against s = 0."""
    return Mechanism(name, "score_sweep", f"reward of {model} at s={s} against s=0", direction)


VOICES = "vocals of full_mix against instrumental"
MECHANISMS = (
    Mechanism("score knob after SFT: Δ_out of v1", "head_sweep", "delta_out of v1", 1),
    Mechanism("score knob after SFT: Δ_out of v2", "head_sweep", "delta_out of v2", 1),
    _step("score conditioning lifts Reward", "reward", 1, 1),
    _step("score conditioning lifts CLAP", "clap", 1, 1),
    _step("expert iteration lifts Reward", "reward", 2, 1),
    _step("expert iteration lifts CLAP", "clap", 2, 1),
    _crossing("v1 → v2 costs no Reward (SFT)", "sft", "v1", "v2", 0),
    _crossing("v1 → v2 costs no Reward (chain)", "chain", "v1", "v2", 0),
    _step("CRPO changes no Reward", "reward", 4, 0),
    _step("CRPO changes no CLAP", "clap", 4, 0),
    _crossing("v2 → v1 loses Reward (SFT)", "sft", "v2", "v1", -1),
    _crossing("v2 → v1 loses Reward (chain)", "chain", "v2", "v1", -1),
    _knob("knob at SFT: Reward at s = 2 over 0", "sft", 2, 1),
    _knob("knob after the chain is flat: s = 5 over 0", "hybrid", 5, 0),
    Mechanism("full-mix reward brings voices", "full_mix", VOICES, 1),
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
