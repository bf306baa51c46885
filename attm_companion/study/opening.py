"""Open the study of a profile, or one beside it with other numbers, in one line.

``open_study("mini", set="crpo.beta=200, expert.n_keep=32")`` changes any number of a profile by its
place in the YAML file. What differs becomes part of the study's name, so ``results/mini`` is never
overwritten: the changed study writes ``results/mini+crpo.beta=200+expert.n_keep=32``.
"""

import difflib
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pydantic
import yaml

from attm_companion.notebook_parameters import check_injected
from attm_companion.study.profile import Generation, Profile, in_one_line, load_profile, places
from attm_companion.study.study import Study
from attm_core.errors import ConfigError

OWN_SAMPLES = "own_samples."
SAMPLED_WITH = ("w", "n_steps")
LONGEST_NAME = 120  # of a folder; a longer one is cut and ends with a hash


def open_study(profile: str, seed: int | None = None, set: str = "", **generation: Any) -> Study:
    """The study of a profile, with other numbers where some are given.

    Inside a notebook the parameters that papermill injected are checked first: a misspelt one, or
    one of another type, is an error.

    Args:
        profile: name of a profile, or the path of a YAML file.
        seed: training seed; the profile's own if None.
        set: changes as ``place=value``, separated by commas, such as ``"crpo.beta=200"``.
        generation: fields of the profile's section ``generation``, such as ``s``, ``w`` or
            ``n_prompts``: what the tables are generated with. Training does not depend on them;
            what Stages 2 and 3 sample with is ``own_samples.w`` and ``own_samples.n_steps``
            (their scores are ``expert.s`` and ``crpo.s``).

    Raises:
        ConfigError: unknown profile, place or parameter, or a value of another type or out of
            range.
    """
    check_injected()
    base = load_profile(profile)
    wanted = {**parse_changes(set), **{f"generation.{k}": v for k, v in generation.items()}}
    own = {k: wanted.pop(k) for k in list(wanted) if k.startswith(OWN_SAMPLES)}
    changed, (sampled, differing) = _changed(base, wanted), _own_samples(base, own)
    ours, theirs = dict(places(changed.model_dump())), dict(places(base.model_dump()))
    differing |= {k: v for k, v in ours.items() if v != theirs.get(k) and k != "seed"}
    if seed not in (None, base.seed) or changed.seed != base.seed:
        differing["seed"] = changed.seed if seed is None else seed
    _check_ranges(changed, differing.get("seed", base.seed))
    named = changed.model_copy(update={"name": name_of_changes(base.name, differing)})
    return Study(named if differing else base, differing.get("seed"), differing, sampled)


def _own_samples(base: Profile, own: dict[str, Any]) -> tuple[Generation, dict[str, Any]]:
    """What Stages 2 and 3 sample with, and what of it differs from the profile's generation."""
    names = [OWN_SAMPLES + name for name in SAMPLED_WITH]
    if unknown := [place for place in own if place not in names]:
        raise ConfigError(f"no '{unknown[0]}'; there are {', '.join(names)}")
    sampled = _changed(base, {k.replace(OWN_SAMPLES, "generation."): v for k, v in own.items()})
    _check_ranges(sampled, base.seed)
    after, before = dict(sampled.generation), dict(base.generation)
    differing = {OWN_SAMPLES + n: after[n] for n in SAMPLED_WITH if after[n] != before[n]}
    return sampled.generation, differing


def parse_changes(text: str) -> dict[str, Any]:
    """``"crpo.beta=200, generation.seeds=[1, 2]"`` as ``{place: value}``.

    Raises:
        ConfigError: a part is not of the form ``place=value``, or a place is given twice.
    """
    changes: dict[str, Any] = {}
    for part in filter(None, map(str.strip, re.split(r",(?![^\[]*\])", text))):
        place, equals, value = map(str.strip, part.partition("="))
        if not (place and equals and value):
            raise ConfigError(f"'{part}' is not of the form place=value, such as crpo.beta=200")
        if place in changes:
            raise ConfigError(f"'{place}' is set twice")
        try:
            changes[place] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"'{part}': {value} is no value") from error
    return changes


def _changed(base: Profile, changes: dict[str, Any]) -> Profile:
    raw = base.model_dump()
    for place, value in changes.items():
        *sections, last = place.split(".")
        inner: Any = raw
        for section in sections:
            inner = inner.get(section) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or last not in inner or isinstance(inner[last], dict):
            known = [name for name, _ in places(raw)]
            near = [name for name in known if name.endswith(f".{place}")]
            near = near or difflib.get_close_matches(place, known, n=1, cutoff=0.4)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"profile {base.name!r} has no '{place}'{hint}")
        inner[last] = value
    try:
        return type(base).model_validate(raw)
    except pydantic.ValidationError as error:
        raise ConfigError(f"profile {base.name!r} with {changes}: {in_one_line(error)}") from error


def _check_ranges(profile: Profile, seed: int) -> None:
    generation = profile.generation
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed {seed} is not in 0 … 2^63 - 1")
    if generation.w < 0:
        raise ConfigError(f"w = {generation.w:g}: guidance is 0 or more (1 is none, 4 the paper's)")
    there = 10**9
    if profile.cast.kind == "mini":
        there = min(profile.cast.corpus.n_prompts, profile.cast.corpus.n_valid)
    if generation.n_prompts and not 2 <= generation.n_prompts <= there:
        raise ConfigError(
            f"{generation.n_prompts} prompts: give 2 … {there}, or 0 for all that there are"
        )


def name_of_changes(base: str, differing: Mapping[str, Any]) -> str:
    """``mini+crpo.beta=200``: a name for folders that says what differs."""
    parts = [f"{place}={value}" for place, value in sorted(differing.items())]
    name = re.sub(r"[^\w.+=-]+", "_", "+".join([base, *parts]))
    if len(name) <= LONGEST_NAME:
        return name
    digest = sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 9]}-{digest}"
