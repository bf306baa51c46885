"""Checks of the exercises on the stage pages: each holds an answer against the core's function.

    check_ranknet(my_ranknet)    # prints "right", or "not yet:" and what is wrong

An answer that is still the stub is "not yet" as well, so that an unsolved page runs to its end.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

import numpy as np
import torch
from torch import Tensor

Answer = Callable[..., Any]


def _held_against(place: str) -> Answer:
    """The function of a place, imported when an answer is first held against it."""
    return lambda *given: resolve_name(place)(*given)


si_sdr_db = _held_against("attm_companion.world.mini_separator:si_sdr_db")
level_dbfs = _held_against("attm_core.audio:level_dbfs")
Entry = _held_against("attm_core.backbone.score_heads:Entry")
InputAdd = _held_against("attm_core.backbone.score_heads:InputAdd")
fourier_frequencies = _held_against("attm_core.backbone.score_heads:fourier_frequencies")
cosine_per_item = _held_against("attm_core.evaluation.clap_score:cosine_per_item")
joint_guidance = _held_against("attm_core.generation.guidance:joint_guidance")
normalize_loudness = _held_against("attm_core.generation.loudness:normalize_loudness")
euler_sample = _held_against("attm_core.generation.sampler:euler_sample")
ranknet_loss = _held_against("attm_core.ranker.training:ranknet_loss")
build_pairs = _held_against("attm_core.training.crpo:build_pairs")
crpo_loss = _held_against("attm_core.training.crpo:crpo_loss")
preference_logit = _held_against("attm_core.training.crpo:preference_logit")
select_top_decile = _held_against("attm_core.training.expert_iteration:select_top_decile")
z_scores = _held_against("attm_core.training.expert_iteration:z_scores")
flow_matching_loss = _held_against("attm_core.training.flow_matching:flow_matching_loss")
interpolate = _held_against("attm_core.training.flow_matching:interpolate")


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


def _like(core: Answer, *cases: tuple[Any, ...]) -> Callable[[Any], Verdict]:
    """A check that holds an answer against ``core``; a case is a hint and what both are given."""

    def check(answer: Answer) -> None:
        for hint, *given in cases:
            _same(answer(*given), core(*given), hint)

    return _exercise(check)


A, B = _draw(2, 6)
VOTES = torch.tensor([1.0, 0, 0.5, 1, 0, 0.5])
X_0, X_1 = _draw(3, 4, 2), _draw(3, 4, 2, seed=1)
TEXT, AUDIO = _draw(2, 5, 8).double().numpy()
TARGET, NOISE = _draw(2, 3, 800)

# answer(score_a, score_b, target): RankNet's mean loss, target 1, 0 or ½
check_ranknet = _like(
    ranknet_loss,
    ("a win of A costs −log σ(s(A) − s(B)); mind the sign of the margin", A[:1], B[:1], VOTES[:1]),
    ("where B won, the roles of A and B are swapped", A[:1], B[:1], VOTES[1:2]),
    ("a tie is half a win of A and half a win of B", A[:1], B[:1], VOTES[2:3]),
    ("the loss is the mean over the votes", A, B, VOTES),
)


@_exercise
def check_invariance(answer: Answer) -> None:
    """``answer(scores)`` changes every score, but no RankNet loss."""
    y, both = torch.ones(6), torch.cat([A, B])
    changed = answer(both)
    _same(torch.as_tensor(changed).shape, [12], "give back one score for each clip")
    first, second = changed.chunk(2)
    _same(ranknet_loss(first, second, y), ranknet_loss(A, B, y), "the loss has changed")
    if bool(torch.isclose(changed, both).any()):
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


# answer(audio, e_s): what the head v2 makes of the tokens (B, N, D) and e_s (B, D)
check_input_add = _like(
    lambda audio, e_s: InputAdd()(Entry(audio, audio, audio), e_s).audio,
    ("add e_s of each clip to every one of its tokens", _draw(3, 4, 5), _draw(3, 5)),
)
# answer(x_0, x_1, t): the point (B, N, C) of the line at the times t (B,)
check_interpolate = _like(
    interpolate,
    ("t = 0 is data, x_0", X_0, X_1, torch.zeros(3)),
    ("the line is straight: no root, no square", X_0, X_1, torch.tensor([0.0, 1.0, 0.3])),
)


@_exercise
def check_target(answer: Answer) -> None:
    """``answer(x_0, x_1)``: the velocity that costs nothing."""
    given = answer(X_0, X_1)
    _same(given, X_1 - X_0, "differentiate x_t = (1 − t)·x_0 + t·x_1 in t")
    _same(flow_matching_loss(given, X_0, X_1), torch.zeros(3), "this velocity still costs")


@_exercise
def check_first_loss(answer: float) -> None:
    """The loss of a model that answers v = 0, with data and noise of variance 1."""
    x_0, x_1 = _draw(2, 64, 64, 16)
    wanted = float(flow_matching_loss(torch.zeros_like(x_0), x_0, x_1).mean())
    if abs(answer - wanted) < 0.1:
        answer = wanted
    _same(answer, wanted, "E(x_1 − x_0)² is the variance of a difference of independent numbers")


# answer(score, dropped): scores for the model, the null score where they are dropped
check_nulls = _like(
    lambda score, dropped: torch.where(dropped, 0.0, score),
    ("∅_s is the number 0, for the dropped alone", A, VOTES > 0.7),
)
# answer(values): less their mean, over their population standard deviation
check_z_scores = _like(
    z_scores,
    ("divide by the standard deviation over n, not n − 1", np.array([1.0, 2.0, 4.0, 9.0])),
    ("a constant column has no say: zeros, not NaN", np.ones(3)),
)
# answer(reward, clap, keep): rows of the best by the blend, the best first
check_select = _like(
    select_top_decile,
    (
        "rank by the mean of the two z-scores, the best first",
        *(_draw(2, 20).double().numpy() / [[1], [50]]),
        6,
    ),
)


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


# answer(inside, winner, lambda_fm): Eq. (1) of each pair
check_crpo_loss = _like(
    crpo_loss, ("without λ: −log σ(inside)", A, B, 0.0), ("add λ·L of the winner", A, B, 0.5)
)
# answer(v_cond, v_null, w): Eq. (2)
check_guidance = _like(
    joint_guidance,
    ("w = 0 must give v_null", A, B, 0.0),
    ("w = 1 must give v_cond", A, B, 1.0),
    ("above 1 go on along the same straight line", A, B, 4.0),
)
# answer(velocity, x_1, n_steps): x_0 by equal steps from t = 1 to t = 0
check_euler = _like(
    euler_sample,
    ("time runs from 1 down to 0", lambda x, t: 0 * x + 1, X_1, 4),
    ("take the velocity where the step begins", lambda x, t: x * t, X_1, 4),
)


@_exercise
def check_gain(answer: Answer) -> None:
    """``answer(lufs, peak_db, target_lufs, highest_peak_db)``: the one gain of a clip in dB."""
    tone = torch.sin(torch.arange(48_000) / 20)[None]
    hint = "the gain to the target, but no more than the peak leaves room for"
    for wave in (0.01 * tone, 0.01 * tone * (1 + 30 * (torch.arange(48_000) % 9600 < 20))):
        _, report = normalize_loudness(wave, 48_000)
        _same(answer(report.before_lufs, report.before_dbtp, -16.5, -1.1), report.gain_db, hint)


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


# answer(n_steps): velocities that one clip takes with guidance
check_velocities = _like(
    lambda n_steps: 2 * n_steps,
    ("a guided step needs a velocity with and one without the conditions", 1),
    ("every step needs as many", 25),
)
# answer(wave): root-mean-square level of a clip (S,) in dB of full scale
check_level = _like(
    lambda wave: level_dbfs(torch.as_tensor(wave)[None, None])[0],
    ("a power, the mean of the squares, counts 10 dB per decade", 0.1 * TEXT[0]),
)
# answer(train, evaluation): share of the evaluation's pieces that training knows
check_leak = _like(
    lambda train, evaluation: len({*train} & {*evaluation}) / len({*evaluation}),
    ("no common piece is no leak", ["a", "b"], ["c", "c"]),
    ("count pieces, each once: a piece may have many clips", [*"aabd"], [*"aaac"]),
)
# answer(text, audio): the CLAP score (n,) of embeddings (n, d)
check_clap_score = _like(
    cosine_per_item,
    ("an embedding has cosine 1 with itself", TEXT, TEXT),
    ("divide by both lengths, row by row", TEXT, AUDIO),
)
# answer(estimate, target): SI-SDR (B,) in dB of waves (B, S)
check_ratio = _like(
    si_sdr_db, ("fit the target to the estimate, then signal over the rest", TARGET + NOISE, TARGET)
)
