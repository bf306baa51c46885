"""RankNet training of the score head (Section III-C): ``−log σ(s(A) − s(B))``, ties at one half."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from attm_core.configuration import RankerTrainingConfig
from attm_core.errors import InputError
from attm_core.progress import track
from attm_core.randomness import torch_generator
from attm_core.ranker.tunejury import ClipFeatures, TuneJuryHead


@dataclass(frozen=True)
class PairFeatures:
    """n votes: both sides' features and the target, 1 if A won, 0 if B won, 0.5 for a tie (n,)."""

    a: ClipFeatures
    b: ClipFeatures
    target: Float[Tensor, " n"]

    def __len__(self) -> int:
        return int(self.target.shape[0])

    def __getitem__(self, rows: Tensor | slice) -> PairFeatures:
        """The votes ``rows``."""
        return PairFeatures(self.a[rows], self.b[rows], self.target[rows])


def ranknet_loss(
    score_a: Float[Tensor, " n"], score_b: Float[Tensor, " n"], target: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Mean of −y·log σ(s(A) − s(B)) − (1 − y)·log σ(s(B) − s(A)), y = 1, 0 or ½ (Section III-C)."""
    return F.binary_cross_entropy_with_logits(score_a - score_b, target)


def train_ranker(
    head: TuneJuryHead,
    train: PairFeatures,
    valid: PairFeatures,
    config: RankerTrainingConfig,
    seed: int,
) -> list[tuple[float, float]]:
    """Train ``head`` in place; training and validation loss of each epoch, in nats per pair.

    The two sides pass through the head one after the other, so BatchNorm normalises each side by
    its own batch statistics and updates its running ones twice a step, as the released code does.
    The loss on ``valid`` decides when to stop and which weights to keep; ``seed`` is of the streams
    ``ranker/order`` (shuffling) and ``ranker/dropout``.

    Raises:
        InputError: fewer than two training pairs, no validation pair, or a loss that is not finite.
    """
    if len(train) < 2 or len(valid) < 1:
        raise InputError(f"{len(train)} training and {len(valid)} validation pairs are too few")
    with torch.no_grad():
        head.output.weight.mul_(config.output_gain)
    order = torch_generator(seed, "ranker", "order")
    head.set_dropout_generator(torch_generator(seed, "ranker", "dropout"))
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    losses: list[tuple[float, float]] = []
    lowest, best_epoch, best_state = math.inf, 0, head.state_dict()
    for epoch in track(range(config.max_epochs), "ranker"):
        head.train()
        total = 0.0
        for rows in batches(len(train), config.batch_size, order):
            batch = train[rows]
            loss = ranknet_loss(head.score(batch.a), head.score(batch.b), batch.target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append((total / len(train), validation_loss(head, valid)))
        if not all(map(math.isfinite, losses[-1])):
            raise InputError("the ranker's loss is not finite; check the features for NaN")
        if losses[-1][1] < lowest - config.min_delta:
            lowest, best_epoch = losses[-1][1], epoch
            best_state = copy.deepcopy(head.state_dict())
        if config.patience is not None and epoch - best_epoch >= config.patience:
            break
    if config.patience is not None:
        head.load_state_dict(best_state)
    head.set_dropout_generator(None)
    head.eval()
    return losses


@torch.no_grad()
def validation_loss(head: TuneJuryHead, pairs: PairFeatures) -> float:
    """Mean RankNet loss in evaluation mode, in nats per pair."""
    head.eval()
    return float(ranknet_loss(head.score(pairs.a), head.score(pairs.b), pairs.target))


def batches(n: int, batch_size: int, order: torch.Generator) -> Iterator[Tensor]:
    """Shuffled row numbers of one epoch, ``batch_size`` at a time, the incomplete rest last."""
    rows = torch.randperm(n, generator=order)
    # PAPER-SILENT: BatchNorm has no statistics of a single pair, on which the released loop would
    # stop with an error; a last batch of one joins the batch before it.
    ends = list(range(batch_size, n - 1, batch_size))
    return iter(torch.tensor_split(rows, ends))
