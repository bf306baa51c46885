import math

import pytest

from attm_core import configuration
from attm_core.backbone.config import FluxAudioConfig
from attm_core.configuration import CRPOConfig, ExpertIterationConfig, GenerationConfig
from attm_core.data.extraction import ExtractionConfig
from attm_core.errors import ConfigError, InputError

SENSELESS = {
    configuration.TrainConfig: {
        "n_steps": [-5], "batch_size": [0], "lr": [math.nan, math.inf, 0.0, 1e300],
        "warmup_steps": [-1], "accumulation": [0], "betas": [(0.9, 1.5)], "schedule": ["linear"],
        "precision": ["fp16"], "save_every": [0], "eps": [0.0], "sigma_rels": [(0.4,), (0.0,)],
    },
    configuration.SFTConfig: {"sigma_rel": [0.4]},
    configuration.NullConfig: {"text_prob": [1.5], "score_prob": [-0.1], "score_per": ["step"]},
    ExpertIterationConfig: {
        "n_keep": [601], "keep": ["worst"], "label": ["best"], "s": [math.inf],
    },
    CRPOConfig: {"n_per_prompt": [1, 10**6], "beta": [0.0], "min_gap": [-1.0], "s": [math.nan]},
    GenerationConfig: {
        "s": [1e39, math.nan], "w": [-1.0, math.inf], "w_score": [-0.5], "n_steps": [0, 10**12],
        "batch_size": [0], "n_passes": [-1], "target_lufs": [3.0], "ceiling_dbtp": [math.nan],
        "variant": ["thrice"], "prefix": ["x" * 2001],
    },
    configuration.RankerTrainingConfig: {
        "learning_rate": [0.0, math.nan], "weight_decay": [-1.0], "batch_size": [0, 1],
        "max_epochs": [0], "patience": [0], "min_delta": [math.nan], "output_gain": [0.0],
    },
    configuration.WindowConfig: {
        "max_windows": [0], "window_s": [math.nan, math.inf], "min_track_s": [11.0, 0.0],
        "n_valid": [-1],
    },
    ExtractionConfig: {
        "shard_size": [0], "batch_size": [0], "dtype": ["int8"], "track_peak": [1.5, 0.0],
    },
    FluxAudioConfig: {
        "width": [100], "score_head": ["film"], "score_features": [7], "n_joint": [0],
    },
}  # fmt: skip
ROWS = [
    (kind, name, value)
    for kind, fields in SENSELESS.items()
    for name, values in fields.items()
    for value in values
]


@pytest.mark.parametrize(("kind", "name", "value"), ROWS)
def test_a_senseless_value_is_refused_by_its_name(kind, name, value):
    with pytest.raises(ConfigError, match=rf"\b{name}\b|sigma_rel lies"):
        kind(**{name: value})


@pytest.mark.parametrize(
    "text", ["", "  ", "\u200b\u2060\ufeff", "\u2800\u3164", "x" * 2001, "half \ud800"]
)
def test_an_unusable_prompt_is_refused(text):
    assert configuration.check_prompt("静かなピアノ 🎹") == "静かなピアノ 🎹"
    with pytest.raises(InputError, match="prompt"):
        configuration.check_prompt(text)
    with pytest.raises(InputError, match="prompt"):
        GenerationConfig(negative_prompt=text)


def test_the_published_stages_are_the_defaults():
    stages = ExpertIterationConfig().finetune, ExpertIterationConfig().polish, CRPOConfig().training
    runs = [(stage.n_steps, stage.lr, stage.batch_size) for stage in stages]
    assert runs == [(30_000, 1e-5, 64), (5_000, 1e-6, 64), (5_000, 1e-6, 8)]
    assert [stage.precision for stage in stages] == ["bf16", "bf16", "fp32"]
    assert (CRPOConfig().beta, GenerationConfig().s, GenerationConfig().w) == (2000, 5, 4)
