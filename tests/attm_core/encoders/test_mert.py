import json

import pytest
import torch
from published_files import write_mert, write_mert_processor

from attm_core.encoders import mert
from attm_core.encoders.mert import Mert, _segment_bounds
from attm_core.errors import CheckpointError, InputError
from attm_core.randomness import torch_generator

RATE = 24_000


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator(0, "mert", "noise")) * 0.1


@pytest.fixture
def published(tmp_path):
    return write_mert(tmp_path)


def test_embedding_is_the_mean_of_the_last_layer(tmp_path, published):
    waves = noise(3, RATE)
    embedded = Mert.load(tmp_path).embed_audio(waves[:, None], RATE)
    expected = published(waves).last_hidden_state.mean(dim=1).detach()
    assert embedded.shape == (3, 16)
    assert torch.allclose(embedded, expected, atol=1e-6)
    assert not torch.allclose(embedded[0], embedded[1], atol=1e-3)
    octaves = []
    for rate, pitch in ((44_100, 440), (RATE, 440), (RATE, 880)):
        tone = 0.3 * torch.sin(2 * torch.pi * pitch * torch.arange(rate) / rate)
        octaves.append(Mert.load(tmp_path).embed_audio(tone[None, None], rate))
    resampled, plain, octave = octaves
    assert (resampled - plain).norm() < 0.1 * (octave - plain).norm()


def test_old_and_new_names_of_weights_load_and_the_mask_vector_may_lack(tmp_path, published):
    """Those of the positional convolution are what other loaders report as newly initialised."""
    first = Mert.load(tmp_path)
    conv = first._model.encoder.pos_conv_embed.conv
    assert torch.equal(conv.weight, published.encoder.pos_conv_embed.conv.weight)
    path, waves = tmp_path / mert._WEIGHTS, noise(1, RATE)[:, None]
    weights = torch.load(path, weights_only=True)
    del weights[mert._MASK_VECTOR]
    for same in (weights, first._model.state_dict()):
        torch.save(same, path)
        assert torch.equal(
            Mert.load(tmp_path).embed_audio(waves, RATE), first.embed_audio(waves, RATE)
        )
    weights["encoder.pos_conv_embed.conv.weight_g"] *= 3
    torch.save(weights, path)
    assert not torch.allclose(
        Mert.load(tmp_path).embed_audio(waves, RATE), first.embed_audio(waves, RATE)
    )


@pytest.mark.parametrize(
    ("file", "change", "match"),
    [
        ("config.json", {"deepnorm": True}, "deepnorm would need code"),
        ("config.json", {"feature_extractor_cqt": True}, "feature_extractor_cqt would need code"),
        ("preprocessor_config.json", {"sampling_rate": 16_000}, "16000 Hz"),
        ("config.json", None, "not valid JSON"),
    ],
)
@pytest.mark.usefixtures("published")
def test_other_models_are_refused(tmp_path, file, change, match):
    stated = json.loads((tmp_path / file).read_text())
    (tmp_path / file).write_text("{" if change is None else json.dumps(stated | change))
    with pytest.raises((CheckpointError, InputError), match=match):
        Mert.load(tmp_path)


def test_normalisation_follows_the_processors_configuration(tmp_path, published):
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


def test_segments_cover_and_join_a_short_last_one():
    segment = 300 * RATE
    assert _segment_bounds(10 * RATE) == [(0, 10 * RATE)]
    assert _segment_bounds(segment) == [(0, segment)]
    assert _segment_bounds(segment + RATE) == [(0, segment), (segment, segment + RATE)]
    assert _segment_bounds(segment + RATE - 1) == [(0, segment + RATE - 1)]
    assert _segment_bounds(2 * segment + 5) == [(0, segment), (segment, 2 * segment + 5)]


def test_segments_are_weighted_by_their_frames(tmp_path, published, monkeypatch):
    monkeypatch.setattr(mert, "_SEGMENT_S", 2)
    waves = noise(1, 7 * RATE // 2)
    parts = [published(part).last_hidden_state for part in waves.split(2 * RATE, dim=1)]
    assert [part.shape[1] for part in parts] == [149, 112]  # hand: (n − 400) // 320 + 1
    expected = torch.cat(parts, dim=1).mean(dim=1).detach()
    assert torch.allclose(
        Mert.load(tmp_path).embed_audio(waves[:, None], RATE), expected, atol=1e-6
    )


@pytest.mark.usefixtures("published")
def test_batches_do_not_matter(tmp_path, monkeypatch):
    encoder = Mert.load(tmp_path)
    together = encoder.embed_audio(noise(5, RATE)[:, None], RATE)
    monkeypatch.setattr(mert, "_CHUNK_S", 1)
    assert torch.allclose(encoder.embed_audio(noise(5, RATE)[:, None], RATE), together, atol=1e-6)
    assert encoder.embed_audio(torch.zeros(0, RATE)[:, None], RATE).shape == (0, 16)
    assert encoder.embed_audio(noise(1, 400)[:, None], RATE).isfinite().all()  # the shortest


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
def test_unusable_audio_is_refused(tmp_path, waves, rate, match):
    with pytest.raises(InputError, match=match):
        Mert.load(tmp_path).embed_audio(waves[:, None], rate)
