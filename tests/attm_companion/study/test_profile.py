import math
from dataclasses import replace
from importlib import resources

import pydantic
import pytest
import yaml

from attm_companion.paper_numbers import load_paper, paper_value
from attm_companion.study import profile as profiles
from attm_companion.study.study import Study
from attm_core.backbone.config import FluxAudioConfig
from attm_core.configuration import SFTConfig
from attm_core.errors import ConfigError


def raw(name):
    file = resources.files("attm_companion.study") / "profiles" / f"{name}.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def test_the_profiles_that_come_with_the_package():
    assert profiles.profile_names() == ["mini", "paper", "smoke"]
    for name in profiles.profile_names():
        assert profiles.load_profile(name).name == name
    with pytest.raises(ConfigError, match=r"no profile 'huge'; there are: mini, paper, smoke"):
        profiles.load_profile("huge")


# What a core's configuration refuses is tested with it; here a value of each, and our own fields.
SENSELESS = [
    ("sft.n_steps", -5), ("sft.warmup_steps", 10**6), ("sft.nulls", {"text_prob": 1.5}),
    ("expert.polish.lr", math.nan), ("expert.n_samples", 0), ("expert.oversample", 0),
    ("crpo.training.clip_norm", math.inf), ("crpo.n_prompts", 0), ("crpo.lambda_fm", -1.0),
    ("backbone.n_heads", 0), ("backbone.n_fused", -1), ("backbone.score_bandwidth", 0.0),
    ("backbone.ffn_multiple", 0), ("backbone.n_channels", 4), ("backbone.score_head", "input_add"),
    ("generation.w", math.inf), ("generation.n_steps", 10**12), ("generation.seeds", []),
    ("generation.seeds", [42]), ("generation.seeds", [42, 42]), ("generation.seeds", [-1, 55]),
    ("generation.sub2_seed", 1), ("generation.n_listening", -1), ("generation.n_prompts", -1),
    ("sweep.scores", []), ("sweep.scores", [math.nan, 1.0]), ("sweep.bandwidths", [0.0]),
    ("name", "../../evil"), ("name", ""), ("name", "mini"), ("seed", -1), ("seed", 1.5),
    ("cast.bleed_db", math.nan), ("cast.text_tokens", 0), ("cast.preferences.n_pairs", -3),
    ("cast.ranker.reward_std", 0.0), ("cast.ranker.hidden", []), ("cast.ranker.hidden", [0]),
    ("cast.separator_training.n_steps", 0), *((f"cast.corpus.{name}", value) for name, value in [
        ("n_pieces", 19), ("n_train", 0), ("n_prompts", -1), ("sample_rate_hz", 4_000),
        ("n_samples", 100), ("n_samples", 10**7), ("voice_share", 1.1), ("seed", -1),
        ("parse_limit_s", 0.0), ("render_limit_s", -2.0)]),
    ("resources", {"jobs": 0}), ("resources", {"threads": -1}),
    ("resources", {"training": {"processes": 0}}),
    *((f"{place}n_stpes", 1) for place in ("", "sft.", "expert.finetune.", "cast.clap.",
                                           "cast.corpus.", "cast.ranker.training.")),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value"), SENSELESS)
def test_a_senseless_value_is_refused_by_its_name(place, value, tmp_path):
    values = raw("smoke") | {"name": "mine"}
    *path, name = place.split(".")
    section = values
    for part in path:
        section = section[part]
    section[name] = value
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError) as caught:
        profiles.load_profile(str(tmp_path / "mine.yaml"))
    assert name.removesuffix("s") in str(caught.value)


def test_a_profile_of_one_s_own_is_read_from_its_path_and_does_not_change(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(raw("smoke") | {"name": "mine", "seed": 7}))
    assert Study(str(path)).training_seed == 7
    with pytest.raises(ConfigError, match=r"absent\.yaml.*No such file"):
        profiles.load_profile(str(tmp_path / "absent.yaml"))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        profiles.load_profile("smoke").seed = 1


@pytest.mark.parametrize("name", profiles.profile_names())
def test_parts_of_a_profile_fit_each_other_and_every_training_run_can_be_resumed(name):
    profile: profiles.Profile = profiles.load_profile(name)
    expert, crpo, generation = profile.expert, profile.crpo, profile.generation
    assert expert.polish.batch_size <= expert.n_keep
    assert crpo.training.batch_size <= crpo.n_prompts
    if isinstance(profile.cast, profiles.MiniCast):
        assert generation.n_prompts <= profile.cast.corpus.n_prompts
        assert generation.n_listening <= profile.cast.corpus.n_prompts
        assert profile.sft.batch_size <= profile.cast.corpus.n_train
    assert profile.sweep.scores == tuple(sorted(set(profile.sweep.scores)))
    assert generation.s in profile.sweep.scores
    assert profile.backbone.score_bandwidth not in profile.sweep.bandwidths
    runs: list[SFTConfig] = [profile.sft, expert.finetune, expert.polish, crpo.training]
    assert not any(run.n_steps % run.save_every for run in runs)
    # The rates of later stages stand to that of Stage 1 as in the paper.
    keys = ("stage1.lr", "stage2.lr", "stage2.polish_lr", "stage3.lr")
    printed = [paper_value(f"hyper.{key}") for key in keys]
    assert [run.lr / runs[0].lr for run in runs] == pytest.approx([p / printed[0] for p in printed])
    assert crpo.training.precision == "fp32"


# Where a profile has each number that the paper states: all of them these ...
TAKEN = {
    "expert.s": "stage2.s", "expert.oversample": "stage2.oversampling",
    "crpo.beta": "stage3.beta", "crpo.lambda_fm": "stage3.lambda_fm",
    "generation.w": "inference.w", "generation.s": "inference.s",
    "generation.sub2_seed": "inference.seed_sub2",
}  # fmt: skip
# ... and the paper's own these, too.
PUBLISHED = TAKEN | {
    "cast.windows.window_s": "data.clip_duration_s", "cast.windows.n_valid": "data.heldout_tracks",
    "backbone.width": "backbone.score_embedding_width", "sft.lr": "stage1.lr",
    "sft.warmup_steps": "stage1.warmup_steps", "sft.batch_size": "stage1.batch_size",
    "sft.n_steps": "stage1.updates", "expert.n_samples": "stage2.n_samples",
    "expert.n_keep": "stage2.n_kept", "expert.finetune.n_steps": "stage2.updates",
    "expert.finetune.lr": "stage2.lr", "expert.polish.n_steps": "stage2.polish_updates",
    "expert.polish.lr": "stage2.polish_lr", "crpo.n_prompts": "stage3.n_pairs",
    "crpo.training.lr": "stage3.lr", "crpo.training.n_steps": "stage3.updates",
    "generation.n_steps": "inference.n_steps",
}  # fmt: skip


@pytest.mark.parametrize("name", profiles.profile_names())
def test_what_a_profile_takes_from_the_paper_is_as_printed(name):
    profile = profiles.load_profile(name)
    values = dict(profiles.places(profile.model_dump()))
    keys = PUBLISHED if name == "paper" else TAKEN
    printed = {place: paper_value(f"hyper.{key}") for place, key in keys.items()}
    assert {place: values[place] for place in keys} == printed
    assert profile.generation.seeds[0] == paper_value("hyper.inference.seed_sub1")
    assert profile.generation.prefix == load_paper().label("hyper.inference.prefix")
    if isinstance(profile.cast, profiles.MiniCast):
        assert profile.cast.ranker.reward_mean == paper_value("text.reward_mean")
        assert profile.cast.ranker.reward_std == paper_value("text.reward_std")
        return
    windows, rate = profile.cast.windows, paper_value("hyper.backbone.sample_rate_hz")
    assert profile.cast.n_samples == rate * windows.window_s
    assert windows.max_windows == paper_value("public.windows_per_track")
    assert profile.generation.n_prompts == paper_value("table2.n")
    assert profile.sft.schedule == "as_written"


def test_the_paper_s_backbone_is_the_published_one():
    shapes = {"n_channels": 40, "n_latents": 430, "n_tokens": 77}
    shapes |= {"token_width": 1024, "pooled_width": 512}
    backbone = profiles.load_profile("paper").backbone
    config = replace(backbone, **shapes, score_head="none")
    assert config == FluxAudioConfig(score_bandwidth=backbone.score_bandwidth)


def test_where_stages_run_changes_no_identity_and_the_training_seed_does(tmp_path):
    values = raw("smoke") | {"resources": {"training": {"processes": 2}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    mine = Study(str(tmp_path / "mine.yaml"))
    assert mine.crpo().uid == Study("smoke").crpo().uid
    assert mine.crpo().launch.processes == mine.crpo().start.start.launch.processes == 2
    assert mine.anchors().launch.processes == 1
    profile = profiles.load_profile("smoke")
    plain, same, other = Study("smoke"), Study(profile, profile.seed), Study("smoke", 7)
    assert plain.crpo().uid == same.crpo().uid != other.crpo().uid
    assert plain.frozen.corpus.uid == other.frozen.corpus.uid
