from dataclasses import replace

import pytest
import torch
from training_toys import tiny_set

from attm_core.errors import InputError
from attm_core.randomness import torch_generator
from attm_core.training.data import Mixture, RowSampler


def test_a_visit_draws_mean_plus_std_times_noise():
    clips = tiny_set()
    rows = torch.tensor([3, 3, 0])
    batch = clips.batch(rows, torch_generator(0, "visit"))
    epsilon = torch.randn(3, 4, 3, generator=torch_generator(0, "visit"))
    torch.testing.assert_close(batch.latents, clips.mean[rows] + clips.std[rows] * epsilon)
    assert not torch.equal(batch.latents[0], batch.latents[1])
    assert torch.equal(batch.conditions.tokens, clips.tokens[rows])
    assert torch.equal(batch.score, clips.score[rows])


def test_captions_stored_once_give_the_same_batch():
    clips = tiny_set(6)
    index = torch.tensor([2, 2, 0, 1, 0, 1])
    shared = replace(clips, tokens=clips.tokens[:3], pooled=clips.pooled[:3], caption_index=index)
    half = replace(shared, tokens=shared.tokens.half(), mean=shared.mean.half())
    assert half.conditions(index).tokens.dtype == torch.float32  # stored in half, trained in full
    spelled = replace(clips, tokens=clips.tokens[index], pooled=clips.pooled[index])
    rows, epsilon = torch.tensor([5, 0, 2]), torch.zeros(3, 4, 3)
    batch, wanted = shared.at(rows, epsilon), spelled.at(rows, epsilon)
    assert torch.equal(batch.conditions.tokens, wanted.conditions.tokens)
    assert torch.equal(batch.conditions.pooled, wanted.conditions.pooled)


def test_statistics_are_those_of_the_samples():
    clips = tiny_set(40)
    mean, std = clips.statistics(block=7)
    rows = torch.arange(40).repeat(500)
    samples = clips.batch(rows, torch_generator(0, "many")).latents.flatten(0, 1)
    torch.testing.assert_close(mean, samples.mean(dim=0), atol=0.02, rtol=0)
    torch.testing.assert_close(std, samples.std(dim=0), atol=0.02, rtol=0)


def test_the_digest_follows_the_contents():
    clips = tiny_set(6)
    same, scored = tiny_set(6), replace(clips, score=clips.score.flip(0))
    assert clips.digest() == same.digest()
    others = [scored, tiny_set(7), tiny_set(6, seed=1), replace(clips, std=2 * clips.std)]
    assert len({part.digest() for part in [clips, *others]}) == 5
    assert Mixture((clips, same), (1, 5)).digest() != Mixture((clips, same), (1, 2)).digest()


def test_sets_that_do_not_fit_are_refused():
    clips = tiny_set(4)
    with pytest.raises(InputError, match="factor ≥ 1"):
        Mixture((clips,), (0,))
    narrow = replace(clips, mean=clips.mean[..., :2], std=clips.std[..., :2])
    with pytest.raises(InputError, match="one shape"):
        Mixture((clips, narrow), (1, 1))
    with pytest.raises(InputError, match="empty set"):
        RowSampler(tiny_set(0), 2, seed=0)
    with pytest.raises(InputError, match="must both be"):
        replace(clips, std=clips.std[:2])
    with pytest.raises(InputError, match="need a caption_index"):
        replace(clips, tokens=clips.tokens[:2], pooled=clips.pooled[:2])
    with pytest.raises(InputError, match="4 rows of the 4 captions"):
        replace(clips, caption_index=torch.tensor([0, 1, 2, 4]))
    with pytest.raises(InputError, match="score every clip"):
        replace(clips, score=torch.tensor([0.0, 1.0, float("nan"), 2.0]))


def test_a_pass_visits_every_row_once_and_the_next_in_another_order():
    sampler = RowSampler(tiny_set(10), batch_size=4, seed=1)
    rows = torch.cat([sampler.rows(step) for step in range(5)])
    first, second = rows[:10], rows[10:]
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(10))
    assert first.tolist() != second.tolist()

    long = RowSampler(tiny_set(3), batch_size=8, seed=0).rows(5)  # longer than a pass
    assert (len(long), int(long.bincount(minlength=3).min())) == (8, 2)


def test_a_mixture_oversamples_its_parts_and_gathers_in_the_order_asked():
    train, experts = tiny_set(10, seed=1), tiny_set(2, seed=2)
    mixture = Mixture((train, experts), (1, 5))
    visits = torch.cat([RowSampler(mixture, 10, seed=0).rows(step) for step in range(2)])
    assert visits.bincount().tolist() == [1] * 10 + [5] * 2
    rows, epsilon = torch.tensor([11, 0, 10, 9]), torch.randn(4, 4, 3)
    batch = mixture.at(rows, epsilon)
    for place, (part, row) in enumerate([(experts, 1), (train, 0), (experts, 0), (train, 9)]):
        alone = part.at(torch.tensor([row]), epsilon[place, None])
        assert torch.equal(batch.latents[place], alone.latents[0])
        assert torch.equal(batch.conditions.tokens[place], alone.conditions.tokens[0])
        assert batch.score[place] == alone.score[0]
