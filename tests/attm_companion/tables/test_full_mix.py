import numpy as np
import pytest
from studies import N_PROMPTS, Asked, KnownStudy, noise, scores

from attm_companion.paper_numbers import paper_value
from attm_companion.tables.full_mix import conditions, tabulate


def study(voice_gain_db: float) -> KnownStudy:
    def draw(asked: Asked):
        full = asked.weights.reward == "reward_score"
        voices = -30.0 + noise("prompts", 4.0) + noise(f"voice{full}", 0.5)
        level = voices + (voice_gain_db if full else 0.0)
        return scores(clap=0.2, reward=0.1, shift=2.0 if full else 1.0, vocals_db=level)

    return KnownStudy(draw)


def test_the_two_runs_differ_by_the_reward_column_alone():
    cells = {name: cell.asked for name, cell in conditions(study(0.0)).items()}
    one, other = cells["instrumental"], cells["full_mix"]
    assert one.weights.reward == "instrumental_reward_score"
    assert other.weights.reward == "reward_score"
    changed = one.weights.model_dump(mode="json", exclude={"infra"})
    assert changed | {"reward": "reward_score"} == other.weights.model_dump(
        mode="json", exclude={"infra"}
    )
    assert (one.s, one.forward, one.protocol) == (other.s, other.forward, other.protocol)
    assert one.protocol.reference == "valid"


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [(3.0, "louder voice"), (0.0, "no louder voice"), (-3.0, "no louder voice")],
)
def test_the_voice_is_called_louder_only_if_it_is(gain, verdict):
    value = tabulate(study(gain))["vocals of full_mix against instrumental"]
    assert value.verdict == verdict
    assert value.value == pytest.approx(gain, abs=1e-9)
    assert value.low < value.value < value.high
    assert value.n == N_PROMPTS


def test_rows_stand_beside_the_papers_fad():
    result = tabulate(study(1.0))
    fad = {name: result[f"fad of {name}"] for name in ("instrumental", "full_mix")}
    assert fad["instrumental"].value == pytest.approx(1.0)
    assert fad["full_mix"].value == pytest.approx(4.0)
    assert fad["instrumental"].paper == paper_value("text.instrumental_fad")
    assert fad["full_mix"].paper == paper_value("text.full_mix_fad")
    assert result["reward of instrumental"].paper is None
    assert np.isclose(result["vocals of instrumental"].value, -30.0)
    assert np.isclose(result["vocals of full_mix"].value, -29.0)
