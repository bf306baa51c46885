"""Reward: mean output of the preference ranker over prompts (Section IV)."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from attm_core.evaluation.statistics import (
    Interval,
    PairedTest,
    Vector,
    as_vector,
    mean_interval,
    paired_t_test,
)

ALPHA = 0.05  # Tables II and III


@dataclass(frozen=True)
class Reward:
    """Rewards of one condition.

    Attributes:
        per_prompt: ranker score of each output (n,), unbounded, in logits of preference.
        mean: their mean with its 95 % t interval.
    """

    per_prompt: Vector
    mean: Interval

    def describe(self) -> str:
        """Mean, interval and number of prompts; signed as the paper prints it."""
        mean = self.mean
        return (
            f"Reward {mean.estimate:+.3f} [{mean.low:+.3f}, {mean.high:+.3f}], "
            f"n = {self.per_prompt.size}"
        )


def reward(scores: ArrayLike) -> Reward:
    """Summarise the ranker's scores (n,) of one condition.

    Raises:
        InputError: not a finite vector of at least two scores.
    """
    per_prompt = as_vector(scores, "ranker scores")
    return Reward(per_prompt, mean_interval(per_prompt))


def improves(before: ArrayLike, after: ArrayLike, alpha: float = ALPHA) -> tuple[bool, PairedTest]:
    """† of Table II: one-sided paired-t improvement of ``after`` over ``before``."""
    test = paired_t_test(before, after, "greater")
    return test.p < alpha, test


def tied(cell: ArrayLike, submission: ArrayLike, alpha: float = ALPHA) -> tuple[bool, PairedTest]:
    """* of Table III: two-sided paired-t difference from Sub. 1 not significant (p ≥ alpha)."""
    # PAPER-SILENT: Table III says "paired-t, p ≥ 0.05" without saying one- or two-sided.
    test = paired_t_test(submission, cell)
    return test.p >= alpha, test
