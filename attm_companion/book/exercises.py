"""Checks of the exercises on the stage pages: each holds an answer against the core's function.

    check_ranknet(my_ranknet)    # prints "right", or "not yet:" and what is wrong

An answer that is still the stub is "not yet" as well, so that an unsolved page runs to its end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attm_core.backbone.score_heads import Entry, InputAdd, fourier_frequencies
from attm_core.generation.guidance import joint_guidance
from attm_core.generation.loudness import normalize_loudness
from attm_core.generation.sampler import euler_sample
from attm_core.ranker.training import ranknet_loss
from attm_core.training.crpo import build_pairs, crpo_loss, preference_logit
from attm_core.training.expert_iteration import select_top_decile, z_scores
from attm_core.training.flow_matching import flow_matching_loss, interpolate

Answer = Callable[..., Any]


@dataclass(frozen=True)
class Verdict:
    """What a check says: whether the answer is right, and if not, what is wrong."""

    right: bool
    text: str

    def __repr__(self) -> str:
        return self.text


class _NotYetError(Exception):
    """The answer is not right; the message says why."""


def _exercise(check: Callable[[Any], None]) -> Callable[[Any], Verdict]:
    @functools.wraps(check)
    def run(answer: Any) -> Verdict:
        try:
            check(_answered(answer))
        except _NotYetError as error:
            return Verdict(False, f"not yet: {error}")
        except Exception as error:
            stopped = f"your code stopped with {type(error).__name__}: {error}"
            return Verdict(False, f"not yet: {stopped}")
        return Verdict(True, "right")

    return run


def _answered(answer: Any) -> Any:
    """A number that is not the stub's, or a function that refuses to give back the stub's."""
    if answer is None or answer is ... or (isinstance(answer, tuple) and answer[0] is ...):
        raise _NotYetError("put your own line in the place of `...`")
    return (lambda *given: _answered(answer(*given))) if callable(answer) else answer


def _same(given: Any, wanted: Any, hint: str) -> None:
    """Values and shape agree, else the answer is not right yet, and ``hint`` is said."""
    ours = torch.as_tensor(np.asarray(given), dtype=torch.float64)
    right = torch.as_tensor(np.asarray(wanted), dtype=torch.float64)
    if ours.shape != right.shape:
        raise _NotYetError(f"the shape is {tuple(ours.shape)}, not {tuple(right.shape)}")
    if not torch.allclose(ours, right, rtol=1e-4, atol=1e-5):
        raise _NotYetError(hint)


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@_exercise
def check_ranknet(answer: Answer) -> None:
    """``answer(score_a, score_b, target)`` is RankNet's mean loss, target 1, 0 or ½."""
    a, b = _draw(2, 6)
    hints = {
        1.0: "a win of A costs −log σ(s(A) − s(B)); mind the sign of the margin",
        0.0: "where B won, the roles of A and B are swapped",
        0.5: "a tie is half a win of A and half a win of B",
    }
    for target, hint in hints.items():
        y = torch.full((1,), target)
        _same(answer(a[:1], b[:1], y), ranknet_loss(a[:1], b[:1], y), hint)
    y = torch.tensor([1.0, 0, 0.5, 1, 0, 0.5])
    _same(answer(a, b, y), ranknet_loss(a, b, y), "the loss is the mean over the votes")


@_exercise
def check_invariance(answer: Answer) -> None:
    """``answer(scores)`` changes every score, but no RankNet loss."""
    a, b = _draw(2, 6)
    y = torch.ones(6)
    changed = answer(torch.cat([a, b]))
    _same(torch.as_tensor(changed).shape, [12], "give back one score for each clip")
    first, second = changed.chunk(2)
    _same(ranknet_loss(first, second, y), ranknet_loss(a, b, y), "the loss has changed")
    if bool(torch.isclose(changed, torch.cat([a, b])).any()):
        raise _NotYetError("a score has stayed what it was: change every one")


@_exercise
def check_similarity(answer: Answer) -> None:
    """``answer(s, frequencies)``: cosine (n,) of the Fourier features of s (n,) with those of 0."""
    f, s = fourier_frequencies(64, 0.5), torch.tensor([0.0, 1.0, 5.0])
    angle = s[:, None] * f
    features = torch.cat([angle.cos(), angle.sin()], dim=-1)
    wanted = torch.cosine_similarity(features, features[:1])
    _same(answer(s[:1], f), wanted[:1], "a score resembles itself with cosine 1")
    _same(answer(s, f), wanted, "cos(a)·cos(0) + sin(a)·sin(0) = cos(a), then the mean over f")


@_exercise
def check_input_add(answer: Answer) -> None:
    """``answer(audio, e_s)``: what the head v2 makes of the tokens (B, N, D) and e_s (B, D)."""
    audio, e_s = _draw(3, 4, 5), _draw(3, 5)
    wanted = InputAdd()(Entry(audio, audio, audio), e_s).audio
    _same(answer(audio, e_s), wanted, "add e_s of each clip to every one of its tokens")


@_exercise
def check_interpolate(answer: Answer) -> None:
    """``answer(x_0, x_1, t)``: the point (B, N, C) of the line at the times t (B,)."""
    x_0, x_1, t = _draw(3, 4, 2), _draw(3, 4, 2, seed=1), torch.tensor([0.0, 1.0, 0.3])
    _same(answer(x_0, x_1, t)[0], x_0[0], "t = 0 is data, x_0")
    _same(answer(x_0, x_1, t), interpolate(x_0, x_1, t), "the line is straight: no root, no square")


@_exercise
def check_target(answer: Answer) -> None:
    """``answer(x_0, x_1)``: the velocity that costs nothing."""
    x_0, x_1 = _draw(2, 3, 4, 2)
    given = answer(x_0, x_1)
    _same(given, x_1 - x_0, "differentiate x_t = (1 − t)·x_0 + t·x_1 in t")
    _same(flow_matching_loss(given, x_0, x_1), torch.zeros(3), "this velocity still costs")


@_exercise
def check_first_loss(answer: float) -> None:
    """The loss of a model that answers v = 0, with data and noise of variance 1."""
    x_0, x_1 = _draw(2, 64, 64, 16)
    wanted = float(flow_matching_loss(torch.zeros_like(x_0), x_0, x_1).mean())
    if abs(answer - wanted) < 0.1:
        answer = wanted
    _same(answer, wanted, "E(x_1 − x_0)² is the variance of a difference of independent numbers")


@_exercise
def check_nulls(answer: Answer) -> None:
    """``answer(score, dropped)``: scores for the model, the null score where they are dropped."""
    score, dropped = torch.tensor([0.4, 1.2, -0.5]), torch.tensor([False, True, False])
    _same(answer(score, dropped), [0.4, 0.0, -0.5], "∅_s is the number 0, for the dropped alone")


@_exercise
def check_z_scores(answer: Answer) -> None:
    """``answer(values)``: less their mean, over their population standard deviation."""
    values = np.array([1.0, 2.0, 4.0, 9.0])
    _same(np.mean(answer(values)), 0.0, "the mean of z-scores is 0")
    _same(answer(values), z_scores(values), "divide by the standard deviation over n, not n − 1")
    _same(answer(np.ones(3)), z_scores(np.ones(3)), "a constant column has no say: zeros, not NaN")


@_exercise
def check_select(answer: Answer) -> None:
    """``answer(reward, clap, keep)``: rows of the best by the blend, the best first."""
    reward, clap = (column.numpy() for column in _draw(2, 20).double())
    clap = clap / 50
    wanted = select_top_decile(reward, clap, 6)
    _same(sorted(answer(reward, clap, 6)), sorted(wanted), "rank by the mean of the two z-scores")
    _same(answer(reward, clap, 6), wanted, "the best comes first")


@_exercise
def check_pairs(answer: Answer) -> None:
    """``answer(clap)``: winner and loser (each (p,)) among the samples (p, N) of each prompt."""
    clap = _draw(5, 4).double().numpy()
    winners, losers = answer(clap)
    pairs = build_pairs(clap)
    _same(winners, pairs.winners, "the winner of a prompt is its sample with the highest CLAP fit")
    _same(losers, pairs.losers, "the loser of a prompt is its sample with the lowest CLAP fit")


@_exercise
def check_logit(answer: Answer) -> None:
    """``answer(L_w, L_l, Lref_w, Lref_l, beta)``: the argument of σ in Eq. (1)."""
    (win, lose), (win_ref, lose_ref) = _draw(2, 2, 5)
    _same(answer(win, lose, win, lose, 2.0), torch.zeros(5), "policy = reference must give 0")
    given = answer(win, lose, win_ref, lose_ref, 2.0)
    wanted = preference_logit(win, lose, win_ref, lose_ref, 2.0)
    _same(torch.sign(given), torch.sign(wanted), "a lower loss is better")
    _same(given, wanted, "Δ is minus one half of the difference in loss")


@_exercise
def check_crpo_loss(answer: Answer) -> None:
    """``answer(inside, winner, lambda_fm)``: Eq. (1) of each pair."""
    inside, winner = _draw(2, 5)
    _same(answer(inside, winner, 0.0), crpo_loss(inside, winner, 0.0), "without λ: −log σ(inside)")
    _same(answer(inside, winner, 0.5), crpo_loss(inside, winner, 0.5), "add λ·L of the winner")


@_exercise
def check_guidance(answer: Answer) -> None:
    """``answer(v_cond, v_null, w)``: Eq. (2)."""
    cond, null = _draw(2, 5)
    hints = {
        0.0: "w = 0 must give v_null",
        1.0: "w = 1 must give v_cond",
        4.0: "above 1 go on along the same straight line",
    }
    for w, hint in hints.items():
        _same(answer(cond, null, w), joint_guidance(cond, null, w), hint)


@_exercise
def check_euler(answer: Answer) -> None:
    """``answer(velocity, x_1, n_steps)``: x_0 by equal steps from t = 1 to t = 0."""
    x_1 = _draw(2, 3, 4)
    _same(answer(lambda x, t: 0 * x + 1, x_1, 4), x_1 - 1, "time runs from 1 down to 0")
    wanted = euler_sample(lambda x, t: x * t, x_1, 4)
    _same(answer(lambda x, t: x * t, x_1, 4), wanted, "take the velocity where the step begins")


@_exercise
def check_gain(answer: Answer) -> None:
    """``answer(lufs, peak_db, target_lufs, highest_peak_db)``: the one gain of a clip in dB."""
    tone = torch.sin(torch.arange(48_000) / 20)[None]
    for wave in (0.01 * tone, 0.01 * tone * (1 + 30 * (torch.arange(48_000) % 9600 < 20))):
        _, report = normalize_loudness(wave, 48_000)
        given = answer(report.before_lufs, report.before_dbtp, -16.5, -1.1)
        _same(
            given,
            report.gain_db,
            "the gain to the target, but no more than the peak leaves room for",
        )


@_exercise
def check_mean_field(answer: Answer) -> None:
    """``answer(points, x, t)``: mean velocity (2,) at x (2,) of the lines to points (k, 2)."""
    x, points = torch.tensor([0.4, 0.1]), torch.tensor([[1.0, 0.0], [-1.0, 0.5]])
    one = (x - points[0]) / 0.5
    _same(answer(points[:1], x, 0.5), one, "one point: v = x_1 − x_0 = (x − x_0)/t")
    for t in (0.9, 0.4):
        share = torch.softmax(-(x - (1 - t) * points).square().sum(1) / (2 * t * t), dim=0)
        wanted = (share[:, None] * (x - points) / t).sum(0)
        _same(answer(points, x, t), wanted, "weigh each line by how likely it passes through x")
