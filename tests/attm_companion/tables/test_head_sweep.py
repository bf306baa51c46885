import numpy as np
import pytest
from studies import N_PROMPTS, Asked, KnownStudy, assert_paper_beside, noise, scores

from attm_companion.tables.head_sweep import INPUT_SCORES, conditions, tabulate
from attm_core.constants import HEADS

SLOPES = dict(zip(HEADS.values(), (0.4, 0.3, 0.0, -0.2, 0.1), strict=True))


def draw(asked: Asked):
    """Reward rises with s at the slope of the head, without noise but for `per_block_adaln`."""
    if asked.s is None:
        return scores(clap=0.1, shift=2.0)
    spread = noise("clips", 0.5) if asked.head == "per_block_adaln" else 0.0
    wave = noise(f"s{asked.s}", 1e-3) if asked.head == "audio_prepend" else 0.0
    reward = SLOPES[asked.head] * asked.s + spread + wave
    return scores(clap=0.2 + 0.1 * asked.s, reward=reward, shift=1.0 + asked.s)


@pytest.fixture(scope="module")
def result():
    return tabulate(KnownStudy(draw))


def test_every_head_is_run_at_every_input_score_and_the_baseline_without():
    cells = conditions(KnownStudy(draw))
    found = [(row, c.s, c.head, c.forward) for row in cells for c in cells[row].values()]
    wanted = [(v, s, head, head) for v, head in HEADS.items() for s in INPUT_SCORES]
    assert found == [("baseline", None, "none", "none"), *wanted]
    assert {tuple(cells[version]) for version in HEADS} == {INPUT_SCORES}
    (protocol,) = {cell.protocol for row in cells.values() for cell in row.values()}
    assert (protocol.split, protocol.reference, protocol.config.n_passes) == ("valid", "valid", 0)
    assert protocol.config.prefix == ""


def test_delta_out_is_the_slope_times_the_distance(result):
    for version, head in HEADS.items():
        value = result[f"delta_out of {version}"]
        assert value.value == pytest.approx(2 * SLOPES[head], abs=1e-9)
        assert value.n == N_PROMPTS
        assert value.low <= 2 * SLOPES[head] + 1e-9


def test_noise_over_clips_lowers_the_correlation_as_it_should(result):
    # Within s = −0.5, 0.5, 1.5 the slope −0.2 spreads 0.2·√(2/3); the clips add 0.5.
    signal = 0.2 * np.sqrt(2 / 3)
    expected = -signal / np.hypot(signal, 0.5)
    value = result["score_r of v4"]
    assert result["score_r of v1"].value == pytest.approx(1.0)
    assert abs(result["score_r of v3"].value) < 0.3
    assert value.value == pytest.approx(expected)
    assert value.low < expected < value.high
    assert value.n == 3 * N_PROMPTS


def test_fad_and_clap_are_means_over_input_scores(result):
    squares = [(1.0 + s) ** 2 for s in INPUT_SCORES]
    assert result["fad of v1"].value == pytest.approx(np.mean(squares))
    assert result["fad of v1"].n == 3 * N_PROMPTS
    assert result["clap of v1"].value == pytest.approx(0.25)
    assert result["fad of baseline"].value == pytest.approx(4.0)
    assert result["fad of baseline"].n == N_PROMPTS
    assert not result.find("score_r of baseline")
    assert_paper_beside(result, "table1", "v")
    assert_paper_beside(result, "table1", "baseline")
