import pytest
import torch

from attm_companion.world.minilm import MiniLM
from attm_core.errors import InputError

TEXTS = [
    "A slow waltz for string quartet in D minor.",
    "fast banjo reel",
    "",
    "A very long caption " + "about drums and bass and organ " * 12,
]


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM(n_tokens=12)


def test_a_text_is_padded_with_zeros_and_does_not_depend_on_its_companions(encoder) -> None:
    together, pooled = encoder.encode_both(TEXTS + TEXTS[::-1])
    assert (together.shape, pooled.shape) == ((8, 12, 384), (8, 384))
    lengths = (together.abs().sum(-1) > 0).sum(1)
    # [CLS] and [SEP] around "a slow waltz for string quartet in d minor ." (10), 3 words, nothing.
    assert lengths[:4].tolist() == [12, 5, 2, 12]
    for row, text in enumerate(TEXTS):
        alone, alone_pooled = encoder.encode_both([text])
        assert torch.equal(alone[0], together[row])
        assert torch.equal(alone[0], together[7 - row])
        assert torch.equal(alone_pooled[0], pooled[row])


def test_weights_are_pretrained_and_long_texts_differ_beyond_the_last_token(encoder) -> None:
    texts = ["sad violin music", "a mournful fiddle tune", "how to repair a bicycle"]
    vectors = torch.nn.functional.normalize(encoder.pooled(texts))
    cosine = vectors @ vectors.T
    assert cosine[0, 1] > cosine[0, 2] + 0.3
    start = "one two three four five six seven eight nine ten eleven twelve "
    first, second = encoder.pooled([start + "quiet flute", start + "loud trumpet"])
    assert not torch.allclose(first, second, atol=1e-3)
    with pytest.raises(InputError, match="1 to 64"):
        MiniLM(n_tokens=65)
