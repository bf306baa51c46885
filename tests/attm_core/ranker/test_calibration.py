import numpy as np
import pytest
from scipy.special import expit

from attm_core.errors import InputError
from attm_core.files import read_json
from attm_core.ranker.calibration import (
    ReliabilityBin,
    accuracy_by,
    calibration_report,
    expected_calibration_error,
)


def drawn_votes(n: int, scale: float = 1.0) -> tuple[np.ndarray, list[str]]:
    """Margins, and votes drawn with probability σ(scale · margin)."""
    generator = np.random.default_rng(0)
    margin = generator.normal(0, 2, n)
    a_wins = generator.random(n) < expit(scale * margin)
    return margin, ["model_a" if a else "model_b" for a in a_wins]


def test_ece_by_hand():
    margin = np.array([0.1, -0.2, 1.0, -2.0])
    winner = ["model_b", "model_b", "model_a", "model_b"]  # wrong, right, right, right
    first, second = calibration_report(margin, winner, n_bins=2).bins
    assert (first.n, first.margin_lo, first.margin_hi) == (2, 0.1, 0.2)
    assert first.empirical_winrate == 0.5
    confidence = [(expit(0.1) + expit(0.2)) / 2, (expit(1.0) + expit(2.0)) / 2]
    assert first.mean_confidence == pytest.approx(confidence[0])
    assert second.mean_abs_margin == pytest.approx(1.5)
    expected = (abs(confidence[0] - 0.5) + abs(confidence[1] - 1.0)) / 2
    assert expected_calibration_error((first, second)) == pytest.approx(expected)


def test_votes_drawn_from_the_margins_are_calibrated_and_overconfidence_shows():
    margin, winner = drawn_votes(20_000)
    honest = calibration_report(margin, winner)
    assert honest.expected_calibration_error < 0.015
    assert calibration_report(3 * margin, winner).expected_calibration_error > 0.1
    assert calibration_report(3 * margin, winner).accuracy_overall == honest.accuracy_overall


def test_report_counts_ties():
    margin, winner = drawn_votes(40)
    report = calibration_report(np.append(margin, [0.3, -4.0]), [*winner, "tie", "tie"])
    assert (report.n_total, report.n_ties) == (40, 2)
    assert report.bins == calibration_report(margin, winner).bins
    assert [one.n for one in report.bins] == [4] * 10
    assert [one.n for one in calibration_report(*drawn_votes(2035)).bins] == [203] * 9 + [208]


def test_accuracy_by_hand_leaves_ties_out():
    margin, winner = np.array([1.0, 1.0, -1.0, 1.0]), ["model_a", "model_b", "model_b", "tie"]
    table = accuracy_by(["AIME", "AIME", "SongEval", "AIME"], margin, winner)
    assert table.loc["AIME"].tolist() == [2, 0.5]
    assert table.loc["SongEval"].tolist() == [1, 1.0]
    assert calibration_report(margin, winner, n_bins=1).accuracy_overall == pytest.approx(2 / 3)
    silent = calibration_report(np.zeros(3), winner[:3], n_bins=1)  # a ranker that says nothing
    assert silent.accuracy_overall == 0.5


@pytest.mark.parametrize(
    ("margin", "winner", "message"),
    [
        ([1.0], ["model_a", "model_b"], "do not match"),
        ([float("nan")], ["model_a"], "NaN or infinite"),
        ([1.0], ["BOTH_BAD"], "BOTH_BAD"),
        ([1.0], ["tie"], "0 votes that are not ties"),
    ],
)
def test_bad_votes_are_refused(margin, winner, message):
    with pytest.raises(InputError, match=message):
        calibration_report(np.array(margin), winner, n_bins=1)


@pytest.mark.released
def test_released_ece_and_accuracy_follow_from_the_released_bins(released_dir):
    stored = read_json(released_dir / "tunejury" / "calibration_bins.json")["overall"]
    bins = [ReliabilityBin(**one) for one in stored["bins"]]
    assert [one.n for one in bins] == [203] * 9 + [208]
    assert expected_calibration_error(bins) == pytest.approx(
        stored["expected_calibration_error"], abs=1e-12
    )
    accuracy = sum(one.n * one.empirical_winrate for one in bins) / stored["n_total"]
    assert accuracy == pytest.approx(stored["accuracy_overall"], abs=1e-12)
