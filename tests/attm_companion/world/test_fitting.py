import pytest
import torch

from attm_companion.world.config import FitConfig
from attm_companion.world.fitting import crop_at, random_crops, shuffled_batches
from attm_core.errors import InputError
from attm_core.randomness import torch_generator


def test_schedule_by_hand() -> None:
    config = FitConfig(steps=20, warmup_fraction=0.1)
    # Two steps of warm-up, then half a cosine over the eighteen that remain.
    assert [config.rate_factor(step) for step in (0, 1, 2, 11)] == pytest.approx([0.5, 1, 1, 0.5])
    assert 0 < config.rate_factor(19) < 0.01


def test_each_pass_visits_every_item_once_and_a_small_set_is_one_batch() -> None:
    rows = torch.cat(list(shuffled_batches(12, 4, 6, torch_generator(0))))
    first, second = rows[:12], rows[12:]
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(12))
    assert first.tolist() != second.tolist()
    assert [len(rows) for rows in shuffled_batches(3, 8, 2, torch_generator(0))] == [3, 3]
    with pytest.raises(InputError, match="empty"):
        next(shuffled_batches(0, 8, 1, torch_generator(0)))


def test_crops_are_windows_of_their_items() -> None:
    items = torch.arange(60.0).view(3, 2, 10)
    crops = crop_at(items, torch.tensor([0, 4, 7]), 3)
    assert crops[1].tolist() == [[24, 25, 26], [34, 35, 36]]
    starts = random_crops(items.repeat(50, 1, 1), 9, torch_generator(0))[:, 0, 0] % 10
    assert set(starts.tolist()) == {0, 1}
    assert torch.equal(random_crops(items, 10, torch_generator(0)), items)
