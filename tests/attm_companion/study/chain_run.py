"""Corpus to scores of the submitted hybrid, as small as it goes: run it, or kill it on the way."""

from attm_companion.study.profile import Profile, load_profile
from attm_companion.study.scheduler import ensure
from attm_companion.study.study import Study

CLIPS = {"n_pieces": 20, "n_train": 24, "n_valid": 8, "n_test": 8, "n_reference": 8, "n_prompts": 6}
STEPS = {"n_steps": 40, "batch_size": 8, "save_every": 10}  # long enough to be killed in between


def tiny_profile():
    """The smoke profile with fewer clips, and training that goes on after its first save."""
    values = load_profile("smoke").model_dump()
    cast = values["cast"]
    for part in ("clap", "mert", "codec"):
        cast[part]["fit"]["steps"] = 4
    cast["corpus"] |= CLIPS
    cast["separator_training"]["n_steps"] = 2
    cast["preferences"] |= {"n_pairs": 200, "n_replicates": 20}
    cast["ranker"]["training"]["max_epochs"] = 1
    values["sft"] |= STEPS
    values["expert"] |= {"n_samples": 8, "n_keep": 4}
    values["expert"]["finetune"] |= STEPS
    values["expert"]["polish"] |= {"n_steps": 4, "batch_size": 4, "save_every": 2}
    values["crpo"] |= {"n_prompts": 6}
    values["crpo"]["training"] |= STEPS | {"batch_size": 4}
    values["generation"] |= {"n_steps": 3, "n_listening": 1}
    return Profile.model_validate(values | {"name": "tiny"})


def hybrid():
    """Sub. 1 of the tiny study."""
    study = Study(tiny_profile())
    return study.condition(study.crpo(), study.evaluation, s=study.profile.generation.s)


if __name__ == "__main__":
    ensure([hybrid()], jobs=1)
