"""MERT without remote code: the published files of a tiny model, segments, and bad input."""

from pathlib import Path

import pytest
import torch
from published_files import MakesFolder, write_mert, write_mert_processor

from attm_core.encoders import mert
from attm_core.encoders.mert import Mert, _segment_bounds, _standardize
from attm_core.errors import AssetError, CheckpointError, InputError
from attm_core.randomness import torch_generator

RATE = 24_000


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator(0, "mert", "noise")) * 0.1


@pytest.fixture
def published(tmp_path: Path) -> torch.nn.Module:
    return write_mert(tmp_path)


def test_embedding_is_the_mean_of_the_last_layer(tmp_path: Path, published) -> None:
    waves = noise(3, RATE)
    embedded = Mert.load(tmp_path).embed_audio(waves[:, None], RATE)
    expected = published(waves).last_hidden_state.mean(dim=1).detach()
    assert embedded.shape == (3, 16)
    assert torch.allclose(embedded, expected, atol=1e-6)
    assert not torch.allclose(embedded[0], embedded[1], atol=1e-3)


def test_the_positional_convolution_is_loaded_and_used(tmp_path: Path, published) -> None:
    """The part whose renamed weights other loaders report as newly initialised."""
    loaded = Mert.load(tmp_path)._model.encoder.pos_conv_embed.conv
    assert torch.equal(loaded.weight, published.encoder.pos_conv_embed.conv.weight)
    before = Mert.load(tmp_path).embed_audio(noise(1, RATE)[:, None], RATE)
    weights = torch.load(tmp_path / mert._WEIGHTS, weights_only=True)
    weights["encoder.pos_conv_embed.conv.weight_g"] *= 3
    torch.save(weights, tmp_path / mert._WEIGHTS)
    assert not torch.allclose(
        Mert.load(tmp_path).embed_audio(noise(1, RATE)[:, None], RATE), before
    )


@pytest.mark.usefixtures("published")
def test_new_names_load_too(tmp_path: Path) -> None:
    first = Mert.load(tmp_path)
    torch.save(first._model.state_dict(), tmp_path / mert._WEIGHTS)
    assert torch.equal(
        first.embed_audio(noise(1, RATE)[:, None], RATE),
        Mert.load(tmp_path).embed_audio(noise(1, RATE)[:, None], RATE),
    )


def test_normalisation_follows_the_processors_configuration(tmp_path: Path, published) -> None:
    from transformers import Wav2Vec2FeatureExtractor

    waves = noise(2, RATE) + 0.05
    plain = Mert.load(tmp_path).embed_audio(waves[:, None], RATE)
    write_mert_processor(tmp_path, do_normalize=True)
    embedded = Mert.load(tmp_path).embed_audio(waves[:, None], RATE)
    processor = Wav2Vec2FeatureExtractor(sampling_rate=RATE, do_normalize=True)
    read = processor(list(waves.numpy()), sampling_rate=RATE, return_tensors="pt")
    expected = published(read["input_values"]).last_hidden_state.mean(dim=1).detach()
    assert torch.allclose(embedded, expected, atol=1e-5)
    assert not torch.allclose(embedded, plain, atol=1e-3)


def test_standardised_waves_by_hand() -> None:
    # mean 2, variance 1; the floor keeps silence finite.
    waves = torch.tensor([[1.0, 3.0, 1.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    expected = torch.tensor([[-1.0, 1.0, -1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    assert torch.allclose(_standardize(waves), expected, atol=1e-6)
    assert torch.allclose(_standardize(waves * 5 + 1), expected, atol=1e-6)


def test_published_size(tmp_path: Path) -> None:
    """24 layers × 1024, 315 M weights, from the values of the published configuration."""
    from transformers import HubertModel

    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
    sizes |= {"intermediate_size": 4096, "conv_dim": [512] * 7}
    write_mert(tmp_path, num_conv_pos_embeddings=128, num_conv_pos_embedding_groups=16, **sizes)
    config = mert._hubert_config(tmp_path / "config.json")
    with torch.device("meta"):
        model = HubertModel(config)
    assert sum(p.numel() for p in model.parameters()) == 315_427_968
    assert len(model.state_dict()) == 402


@pytest.mark.usefixtures("published")
def test_a_file_without_the_mask_vector_loads(tmp_path: Path) -> None:
    weights = torch.load(tmp_path / mert._WEIGHTS, weights_only=True)
    before = Mert.load(tmp_path).embed_audio(noise(1, RATE)[:, None], RATE)
    del weights[mert._MASK_VECTOR]
    torch.save(weights, tmp_path / mert._WEIGHTS)
    assert torch.equal(Mert.load(tmp_path).embed_audio(noise(1, RATE)[:, None], RATE), before)


def test_segments_cover_and_join_a_short_last_one() -> None:
    segment = 300 * RATE
    assert _segment_bounds(10 * RATE) == [(0, 10 * RATE)]
    assert _segment_bounds(segment) == [(0, segment)]
    assert _segment_bounds(segment + RATE) == [(0, segment), (segment, segment + RATE)]
    assert _segment_bounds(segment + RATE - 1) == [(0, segment + RATE - 1)]
    assert _segment_bounds(2 * segment + 5) == [(0, segment), (segment, 2 * segment + 5)]


def test_segments_are_weighted_by_their_frames(
    tmp_path: Path, published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mert, "_SEGMENT_S", 2)
    waves = noise(1, 7 * RATE // 2)
    parts = [published(part).last_hidden_state for part in waves.split(2 * RATE, dim=1)]
    assert [part.shape[1] for part in parts] == [149, 112]  # hand: (n − 400) // 320 + 1
    expected = torch.cat(parts, dim=1).mean(dim=1).detach()
    assert torch.allclose(
        Mert.load(tmp_path).embed_audio(waves[:, None], RATE), expected, atol=1e-6
    )


@pytest.mark.usefixtures("published")
def test_batches_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Mert.load(tmp_path)
    together = encoder.embed_audio(noise(5, RATE)[:, None], RATE)
    monkeypatch.setattr(mert, "_CHUNK_S", 1)
    assert torch.allclose(encoder.embed_audio(noise(5, RATE)[:, None], RATE), together, atol=1e-6)
    assert encoder.embed_audio(torch.zeros(0, RATE)[:, None], RATE).shape == (0, 16)


@pytest.mark.usefixtures("published")
def test_other_rates_are_resampled(tmp_path: Path) -> None:
    encoder = Mert.load(tmp_path)
    time = torch.arange(44_100) / 44_100
    at_44k = encoder.embed_audio(0.3 * torch.sin(2 * torch.pi * 440 * time)[None][:, None], 44_100)
    time = torch.arange(RATE) / RATE
    at_24k = encoder.embed_audio(0.3 * torch.sin(2 * torch.pi * 440 * time)[None][:, None], RATE)
    octave = encoder.embed_audio(0.3 * torch.sin(2 * torch.pi * 880 * time)[None][:, None], RATE)
    assert (at_44k - at_24k).norm() < 0.1 * (octave - at_24k).norm()


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("waves", "rate", "match"),
    [
        (torch.zeros(1, 399), RATE, "too short"),
        (torch.zeros(1, 1), RATE, "too short"),
        (torch.zeros(1, 0), RATE, "S > 0"),
        (torch.zeros(RATE, 1, 1), RATE, r"\(B, C, S\)"),
        (torch.full((1, RATE), torch.nan), RATE, "NaN"),
        (torch.zeros(1, RATE), 0, "0 Hz"),
    ],
)
def test_unusable_audio_is_refused(tmp_path: Path, waves, rate, match) -> None:
    with pytest.raises(InputError, match=match):
        Mert.load(tmp_path).embed_audio(waves[:, None], rate)


@pytest.mark.usefixtures("published")
def test_shortest_audio_is_read(tmp_path: Path) -> None:
    assert Mert.load(tmp_path).embed_audio(noise(1, 400)[:, None], RATE).isfinite().all()


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("name", mert._FILES)
def test_a_missing_file_says_how_to_fetch_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).unlink()
    with pytest.raises(AssetError, match=f"lacks {name}: run `attm assets fetch mert`"):
        Mert.load(tmp_path)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("n_kept", [0, 10, 5000])
def test_a_truncated_file_is_refused(tmp_path: Path, n_kept: int) -> None:
    path = tmp_path / mert._WEIGHTS
    path.write_bytes(path.read_bytes()[:n_kept])
    with pytest.raises(CheckpointError, match=r"corrupt or truncated|no checkpoint"):
        Mert.load(tmp_path)


@pytest.mark.usefixtures("published")
def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    torch.save({"weights": MakesFolder(tmp_path / "made")}, tmp_path / mert._WEIGHTS)
    with pytest.raises(CheckpointError, match="asks for code to be run"):
        Mert.load(tmp_path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"encoder.layer_norm.weight": torch.ones(17)},
            r"layer_norm.weight has shape \(17,\), wanted \(16,\)",
        ),
        ({"encoder.layer_norm.weight": torch.full((16,), torch.inf)}, "holds NaN or infinite"),
        ({"encoder_cqt_model.fc.weight": torch.ones(2)}, "encoder_cqt_model.fc.weight is unknown"),
        (
            {"encoder.layer_norm.weight": "text"},
            "something else, such as encoder.layer_norm.weight",
        ),
    ],
)
@pytest.mark.usefixtures("published")
def test_other_weights_are_refused(tmp_path: Path, change, match) -> None:
    weights = torch.load(tmp_path / mert._WEIGHTS, weights_only=True)
    torch.save(weights | change, tmp_path / mert._WEIGHTS)
    with pytest.raises(CheckpointError, match=match):
        Mert.load(tmp_path)


@pytest.mark.parametrize("variant", ["deepnorm", "feature_extractor_cqt"])
def test_variants_that_need_other_code_are_refused(tmp_path: Path, variant: str) -> None:
    write_mert(tmp_path, **{variant: True})
    with pytest.raises(CheckpointError, match=f"{variant} would need code"):
        Mert.load(tmp_path)


@pytest.mark.usefixtures("published")
def test_a_model_for_another_rate_is_refused(tmp_path: Path) -> None:
    write_mert_processor(tmp_path, sampling_rate=16_000)
    with pytest.raises(CheckpointError, match="16000 Hz"):
        Mert.load(tmp_path)


def test_a_configuration_that_is_no_json_is_refused(tmp_path: Path) -> None:
    write_mert(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        Mert.load(tmp_path)
