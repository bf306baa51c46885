import numpy as np
import pytest
from studies import N_PROMPTS, Asked, KnownStudy, noise, scores

from attm_companion.tables.anchors import conditions, tabulate

FOLLOWERS = {"sft", "crpo"}  # kinds of stages whose models follow their prompts here


def draw(asked: Asked):
    """Prompts are unit vectors; a clip of a follower lies at its own, any other at random."""
    own = np.eye(N_PROMPTS)
    level = 0.6 + noise("match", 0.1)
    if asked.stage not in FOLLOWERS:
        clap = noise(f"clap{asked.head}", 0.1)
        embeddings = own * clap[:, None] + np.roll(own, 1, axis=1) * noise("next", 0.1)[:, None]
        return scores(clap=clap, embeddings=embeddings)
    return scores(clap=level, embeddings=own * level[:, None])


@pytest.fixture(scope="module")
def result():
    known = KnownStudy(draw)
    known.reference = lambda protocol: np.eye(N_PROMPTS)
    known.anchor_scores = {
        "noise": scores(clap=0.0, embeddings=np.zeros((N_PROMPTS, N_PROMPTS))),
        "real": scores(clap=0.5, reward=noise("real"), embeddings=np.eye(N_PROMPTS)),
    }
    return tabulate(known)


def test_models_are_looked_at_under_one_protocol():
    asked = conditions(KnownStudy(draw))
    assert asked["baseline"].s is None
    assert len({item.protocol for item in asked.values()}) == 1


def test_floor_and_ceiling_rows(result):
    assert (result["clap of noise"].value, result["clap of real"].value) == (0.0, 0.5)
    assert result["fad of real"].value == pytest.approx(0.0, abs=1e-6)
    assert result["fad of noise"].value > 0.5
    assert all(line.paper is None for line in result.values)


def test_models_that_follow_their_prompts_are_told_from_those_that_do_not(result):
    for name in (*(f"sft_v{n}" for n in range(1, 6)), "baseline", "crpo"):
        value = result[f"clap of {name} against shuffled prompts"]
        assert value.verdict == "follows prompts"
        assert value.value == pytest.approx(0.6)
        assert value.p < 1e-10
    for name in ("expert_v1", "expert_v2"):
        value = result[f"clap of {name} against shuffled prompts"]
        assert value.verdict == "does not follow prompts"
        assert value.low < 0 < value.high
