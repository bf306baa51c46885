from dataclasses import asdict

import pytest
from studies import Asked, KnownStudy, noise, scores

from attm_companion.tables.variants import conditions, tabulate


def draw(asked: Asked):
    """Without guidance prompts are followed less; nothing else matters."""
    protocol = asked.protocol
    change = -0.1 if protocol.config.w == 1.0 else 0.0
    wiggle = noise(protocol.model_dump_json(), 0.02)
    return scores(clap=0.3 + change + wiggle + noise("prompts", 0.2), reward=wiggle)


def flat(protocol) -> dict:
    return protocol.model_dump(exclude={"config"}) | asdict(protocol.config)


def test_each_variant_changes_one_thing_of_the_protocol():
    cells = conditions(KnownStudy(draw))
    base = cells.pop("as_written")
    written = flat(base.protocol)
    changed = {}
    for name, asked in cells.items():
        same = [(one.weights.uid, one.s, one.forward) for one in (asked, base)]
        assert same[0] == same[1]
        values = flat(asked.protocol)
        changed[name] = [key for key in values if values[key] != written[key]]
    assert changed == {
        "one_seed": ["one_seed"],
        "negative_prompt": ["negative_prompt"],
        "post_as_released": ["variant"],
        "no_post": ["n_passes", "target_lufs"],
        "no_prefix": ["prefix"],
        "ema": ["sigma_rel"],
        "w1": ["w"],
    }


def test_a_change_that_matters_is_told_from_those_that_do_not():
    result = tabulate(KnownStudy(draw))
    changes = result.frame.query("against == 'as_written' and metric == 'clap'").set_index("row")
    assert len(changes) == 7
    assert set(changes.index[changes["verdict"] != "tied"]) == {"w1"}
    assert changes.loc["w1", "value"] == pytest.approx(-0.1)
    assert result["clap of as_written"].value == pytest.approx(0.3)
