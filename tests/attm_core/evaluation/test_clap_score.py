import numpy as np
import pytest

from attm_core.errors import InputError
from attm_core.evaluation.clap_score import cosine_per_item, shuffled_cosines


def test_by_hand() -> None:
    text = [[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]]
    audio = [[1.0, 1.0], [6.0, 8.0], [1.0, 0.0]]
    assert cosine_per_item(text, audio) == pytest.approx([2**-0.5, 1.0, 0.0], abs=1e-8)
    assert cosine_per_item([[1e-4]], [[1e-4]]) == pytest.approx([0.5])  # ε in the denominator
    assert shuffled_cosines(np.eye(12), np.eye(12)).max() == 0.0  # nothing with itself
    assert list(shuffled_cosines([[1.0, 0], [0, 1]], [[0, 2.0], [1, 0]])) == pytest.approx([1, 1])
    rng = np.random.default_rng(0)
    pair = rng.normal(size=(2, 20, 8))  # scale does not matter
    scaled = cosine_per_item(5 * pair[0], pair[1] / 3)
    assert scaled == pytest.approx(cosine_per_item(*pair), abs=1e-7)


def test_bad_embeddings_are_refused() -> None:
    with pytest.raises(InputError, match="share a shape"):
        cosine_per_item(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="NaN"):
        cosine_per_item([[np.nan]], [[1.0]])
