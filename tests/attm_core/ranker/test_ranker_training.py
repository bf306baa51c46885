import math

import pytest
import torch

from attm_core.configuration import RankerTrainingConfig
from attm_core.errors import InputError
from attm_core.randomness import torch_generator
from attm_core.ranker import training
from attm_core.ranker.tunejury import ClipFeatures, TuneJuryHead

FAST = RankerTrainingConfig(learning_rate=3e-3, max_epochs=12, patience=12)


def make_head(dropout: float = 0.5) -> TuneJuryHead:
    return TuneJuryHead(4, 6, (16, 8), dropout, torch_generator(0, "head"))


def make_pairs(n: int, seed: int = 0) -> training.PairFeatures:
    """Votes that follow the first CLAP coordinate."""
    generator = torch_generator(seed, "pairs")
    a, b = (
        ClipFeatures(*(torch.randn(n, width, generator=generator) for width in (4, 6, 4)))
        for _ in range(2)
    )
    return training.PairFeatures(a, b, (a.clap_audio[:, 0] > b.clap_audio[:, 0]).float())


def test_loss_by_hand():
    score_a, score_b = torch.tensor([2.0, 0.0, 1.0]), torch.tensor([0.0, 3.0, 1.0])
    loss = training.ranknet_loss(score_a, score_b, torch.tensor([1.0, 1.0, 0.5]))
    # −log σ(2), −log σ(−3), and log 2 for a tie between equal scores.
    by_hand = math.log1p(math.exp(-2)) + math.log1p(math.exp(3)) + math.log(2)
    assert float(loss) == pytest.approx(by_hand / 3)


@pytest.mark.parametrize(
    ("n", "sizes"), [(64, [32, 32]), (70, [32, 32, 6]), (65, [32, 33]), (5, [5]), (33, [33])]
)
def test_batches_cover_every_pair_once_and_never_hold_one(n, sizes):
    parts = list(training.batches(n, 32, torch_generator(0, "order")))
    assert [len(part) for part in parts] == sizes
    assert sorted(torch.cat(parts).tolist()) == list(range(n))


def test_training_learns_and_keeps_the_best_weights():
    train, valid, test = make_pairs(400, 1), make_pairs(100, 2), make_pairs(400, 3)
    head = make_head(dropout=0.1)
    losses = [loss for _, loss in training.train_ranker(head, train, valid, FAST, seed=5)]
    with torch.no_grad():
        margin = head.score(test.a) - head.score(test.b)
    assert ((margin > 0) == (test.target > 0.5)).float().mean() > 0.85
    assert not head.training
    kept = training.validation_loss(head, valid)
    assert min(abs(kept - loss) for loss in losses) < 1e-5
    assert kept <= min(losses) + FAST.min_delta + 1e-5


def test_the_same_seed_gives_the_same_weights_whatever_the_global_stream():
    runs = []
    for seed, noise in ((5, 1), (5, 7), (6, 1)):
        torch.rand(noise)
        head = make_head()
        training.train_ranker(head, make_pairs(65), make_pairs(20, 2), FAST, seed)
        runs.append(head.net[0].weight)
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_training_stops_when_validation_no_longer_improves():
    train, valid = make_pairs(64), make_pairs(32, 2)
    opposite = training.PairFeatures(valid.a, valid.b, 1 - valid.target)
    config = RankerTrainingConfig(learning_rate=3e-3, max_epochs=60, patience=3)
    losses = [loss for _, loss in training.train_ranker(make_head(0.0), train, opposite, config, 0)]
    assert len(losses) < 60
    assert min(losses[-3:]) > losses[-4] - config.min_delta  # three epochs without a gain


def test_batchnorm_sees_each_side_alone():
    pairs = make_pairs(32)
    head = make_head(0.0)
    one_epoch = RankerTrainingConfig(max_epochs=1)
    first = head.net[0]
    weight = first.weight.detach().clone()
    training.train_ranker(head, pairs, pairs, one_epoch, seed=0)
    assert int(head.net[1].num_batches_tracked) == 2
    means = [
        torch.cat([side.clap_audio, side.mert, side.clap_text], dim=1).matmul(weight.T).mean(dim=0)
        for side in (pairs.a, pairs.b)
    ]
    expected = 0.9 * (0.1 * means[0]) + 0.1 * means[1]  # momentum 0.1, side A first
    torch.testing.assert_close(head.net[1].running_mean, expected, rtol=1e-4, atol=1e-6)


def test_features_with_nan_end_in_a_typed_error():
    pairs = make_pairs(40)
    pairs.a.mert[3, 2] = float("nan")
    for train, valid in ((pairs, make_pairs(10)), (make_pairs(10), pairs)):
        with pytest.raises(InputError, match="loss is not finite"):
            training.train_ranker(make_head(), train, valid, FAST, seed=0)
    with pytest.raises(InputError, match="1 training and 5 validation pairs are too few"):
        training.train_ranker(make_head(), make_pairs(1), make_pairs(5), FAST, seed=0)


def test_output_gain_scales_the_weights_that_training_starts_from():
    pairs, head = make_pairs(64), make_head(0.0)
    config = RankerTrainingConfig(learning_rate=1e-12, max_epochs=1, output_gain=0.1)
    training.train_ranker(head, pairs, pairs, config, seed=0)
    torch.testing.assert_close(head.output.weight, 0.1 * make_head().output.weight)
