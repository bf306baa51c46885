import pytest

from attm_companion.study.opening import LONGEST_NAME, open_study, parse_changes
from attm_companion.study.profile import load_profile
from attm_core.errors import ConfigError


def test_an_unchanged_study_keeps_its_name_and_values_are_read_as_in_the_profile():
    changes = "a.b=2, c=1.0e-5, d=[1, 2.5], e=bf16, f=null"
    assert parse_changes(changes) == {"a.b": 2, "c": 1e-5, "d": [1, 2.5], "e": "bf16", "f": None}
    profile = load_profile("smoke")
    same = open_study("smoke", profile.seed, s=profile.generation.s, w=profile.generation.w)
    assert same.profile is open_study("smoke", set="").profile is profile
    assert same.changes == {}


@pytest.mark.parametrize(
    ("seed", "changes", "name"),
    [
        (7, "", "smoke+seed=7"),
        (None, "crpo.beta=200", "smoke+crpo.beta=200.0"),
        (None, "expert.n_keep=8, crpo.beta = 1.5e2", "smoke+crpo.beta=150.0+expert.n_keep=8"),
        (7, "seed=9, generation.s=-0.5", "smoke+generation.s=-0.5+seed=7"),
        (None, "generation.seeds=[42, 55, 77]", "smoke+generation.seeds=_42_55_77_"),
    ],
)
def test_a_changed_study_is_named_by_what_differs(seed, changes, name):
    study = open_study("smoke", seed, set=changes)
    assert study.profile.name == name
    assert load_profile("smoke").name == "smoke"


def test_changes_reach_the_stages_and_only_those_that_depend_on_them():
    plain, changed = open_study("smoke"), open_study("smoke", set="crpo.beta=200")
    assert changed.crpo().config.beta == 200.0
    assert changed.crpo().uid != plain.crpo().uid
    assert changed.expert("input_add").uid == plain.expert("input_add").uid
    assert changed.changes == {"crpo.beta": 200.0}
    changed = open_study("smoke", s=3.0, w=2.0, n_prompts=4)  # all weights and no condition
    assert plain.crpo().uid == changed.crpo().uid
    resampled = open_study("smoke", set="own_samples.w=2")
    assert resampled.profile.name == "smoke+own_samples.w=2.0"
    assert resampled.sft("input_add").uid == plain.sft("input_add").uid
    assert resampled.expert("input_add").uid != plain.expert("input_add").uid
    assert resampled.evaluation == plain.evaluation
    one, other = (s.condition(s.baseline(), s.evaluation, s=None) for s in (plain, changed))
    assert one.uid != other.uid


def test_a_notebook_says_what_was_changed():
    assert open_study("smoke")._repr_markdown_() == "Profile `smoke`, training seed 42."
    said = open_study("smoke", 7, set="crpo.beta=200")._repr_markdown_()
    assert "differs from profile `smoke`: `crpo.beta = 200.0`, `seed = 7`" in said
    assert "the paper's values are left out" in said
    assert "left out" not in open_study("smoke", 7)._repr_markdown_()


def test_a_long_name_is_cut_and_still_its_own():
    prefixes = (f"generation.prefix={'long ' * 40}{end}" for end in ("a", "b"))
    one, other = (open_study("smoke", set=prefix).profile.name for prefix in prefixes)
    assert one != other
    assert len(one) == len(other) == LONGEST_NAME


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"set": "crpo.betta=200"}, "no 'crpo.betta'; did you mean 'crpo.beta'"),
        ({"set": "crpo=200"}, "no 'crpo'"),
        ({"set": "own_samples.s=2"}, "no 'own_samples.s'; there are own_samples.w"),
        ({"set": "crpo.beta"}, "not of the form place=value"),
        ({"set": "crpo.beta=1, crpo.beta=2"}, "set twice"),
        ({"set": "crpo.beta=[1"}, "is no value"),
        ({"set": "crpo.beta=high"}, r"crpo\.beta"),
        ({"guidance": 3.0}, "no 'generation.guidance'"),
        ({"w": "strong"}, r"generation\.w"),
        ({"w": -1.0}, "w = -1: guidance is 0 or more"),
        ({"seed": -1}, "seed -1 is not in 0"),
        ({"n_prompts": 1}, "1 prompts: give 2 … 16, or 0 for all"),
        ({"n_prompts": 50}, "50 prompts: give 2 … 16"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        open_study("smoke", **arguments)
