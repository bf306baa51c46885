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
    cells = conditions(study(0.0))
    one, other = cells["instrumental"], cells["full_mix"]
    assert one.weights.reward == "instrumental_reward_score"
    assert other.weights.reward == "reward_score"
    first, second = (cell.weights.model_dump(mode="json") for cell in (one, other))
    assert first | {"reward": "reward_score"} == second
    assert (one.s, one.forward, one.protocol) == (other.s, other.forward, other.protocol)
    assert one.protocol == study(0.0).validation.changed(vocals=True)


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
    for name, fad, vocals_db in (("instrumental", 1.0, -30.0), ("full_mix", 4.0, -29.0)):
        assert result[f"fad of {name}"].value == pytest.approx(fad)
        assert result[f"fad of {name}"].paper == paper_value(f"text.{name}_fad")
        assert result[f"vocals of {name}"].value == pytest.approx(vocals_db)
    assert result["reward of instrumental"].paper is None
