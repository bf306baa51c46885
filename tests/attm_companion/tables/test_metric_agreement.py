from dataclasses import replace

import numpy as np
import pytest
from studies import N_PROMPTS, Asked, KnownStudy, cloud, noise, scores

from attm_companion.tables.metric_agreement import DISTANCES, MEANS, conditions, distances, tabulate

# Of the models in the order of the chain: how far their clips are from the reference.
SHIFT = {"sft": 2.0, "expert": 1.0, "crpo": 0.5}


def draw(asked: Asked):
    """Reward is utility; CLAP is its opposite between clips, and nothing between models."""
    shift = SHIFT[asked.stage] + 0.1 * (asked.protocol.seed % 7)
    utility = noise("utility") - shift
    return replace(
        scores(clap=-noise("utility"), reward=utility, shift=shift),
        utility=utility,
        ccs=np.full(N_PROMPTS, 0.5),
    )


def test_every_condition_stands_once():
    cells = conditions(KnownStudy(draw)).values()
    places = [(c.weights.uid, c.forward, c.s, repr(c.protocol)) for c in cells]
    assert len(set(places)) == len(places) > 15


def test_a_metric_that_is_utility_follows_it():
    result = tabulate(KnownStudy(draw))
    assert result["reward of over conditions against utility"].value == pytest.approx(1.0)
    assert result["fad of over conditions against utility"].value > 0.9
    assert result["reward of within a condition against utility"].value == pytest.approx(1.0)
    assert result["clap of within a condition against utility"].value == pytest.approx(-1.0)
    for level in ("over conditions", "within a condition"):  # it does not vary
        assert not result.find(f"ccs of {level} against utility")
    for metric in (*DISTANCES, *MEANS):
        assert result[f"{metric} of row1, seed 42"].n == N_PROMPTS


def test_distances_of_the_reference_to_itself_are_those_of_equal_sets():
    found = distances(cloud(0.0, "reference"), cloud(0.0, "reference"), 0)
    assert found["coverage"] == 1.0
    assert found["mad"] == 0.0
    assert found["kad"] < 0
    assert found["fad_infinity"] < 0.1
