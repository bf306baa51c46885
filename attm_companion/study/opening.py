"""The study of a profile, or one beside it with other numbers."""

from __future__ import annotations

import hashlib
from typing import Any

import pydantic

from attm_companion.study.profile import Generation, load_profile
from attm_companion.study.study import Study
from attm_core.errors import ConfigError


def open_study(profile: str, seed: int | None = None, **generation: Any) -> Study:
    """The study of a profile, or one beside it with other numbers.

    A study that differs from its profile gets a name of its own, so that its result files never
    take the place of the profile's.

    Args:
        profile: name of a profile.
        seed: training seed; the profile's own if None.
        generation: fields of `Generation` to change, such as ``s``, ``w`` or ``n_prompts``.

    Raises:
        ConfigError: unknown profile, or an unknown or ill-typed field.
    """
    base = load_profile(profile)
    try:
        changed = Generation.model_validate({**base.generation.model_dump(), **generation})
    except pydantic.ValidationError as error:
        raise ConfigError(f"generation of {profile!r}: {error}") from error
    if changed == base.generation and seed in (None, base.seed):
        return Study(base)
    facts = f"{seed}{changed.model_dump_json()}"
    name = f"{profile}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}"
    return Study(base.model_copy(update={"generation": changed, "name": name}), seed)
