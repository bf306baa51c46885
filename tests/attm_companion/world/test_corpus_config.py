import pytest

from attm_companion.world.config import CorpusConfig
from attm_core.errors import ConfigError


def test_sizes_by_hand() -> None:
    config = CorpusConfig(n_train=3, n_valid=1, n_test=1, n_reference=2, n_prompts=1)
    assert config.n_clips == 8
    assert config.duration_s == 4.096
    assert list(config.split_sizes) == ["train", "valid", "test", "reference", "prompts"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_pieces", 19),
        ("n_train", 0),
        ("n_prompts", -1),
        ("sample_rate_hz", 4_000),
        ("n_samples", 100),
        ("n_samples", 10**7),
        ("voice_share", 1.1),
        ("seed", -1),
        ("parse_limit_s", 0.0),
        ("render_limit_s", -2.0),
    ],
)
def test_bad_fields_are_named(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        CorpusConfig(**{field: value})  # type: ignore[arg-type]
