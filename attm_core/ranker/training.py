"""RankNet training of the score head (Section III-C): ``−log σ(s(A) − s(B))``, ties at one half."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from attm_core.errors import ConfigError, InputError
from attm_core.progress import track
from attm_core.randomness import torch_generator
from attm_core.ranker.tunejury import ClipFeatures, TuneJuryHead

TARGET_OF_WINNER = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5}


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


def targets(winners: Iterable[str]) -> Float[Tensor, " n"]:
    """Targets of winners ``model_a``, ``model_b``, ``tie``.

    Raises:
        InputError: any other winner.
    """
    winners = list(winners)
    if unknown := sorted(set(winners) - set(TARGET_OF_WINNER)):
        raise InputError(f"winners must be model_a, model_b or tie, got {unknown}")
    return torch.tensor([TARGET_OF_WINNER[winner] for winner in winners])


def gather_pairs(
    votes: pd.DataFrame,
    clap_audio: Mapping[str, Tensor],
    mert: Mapping[str, Tensor],
    prompts: Mapping[str, Tensor],
) -> PairFeatures:
    """Look up the features of each vote's two clips.

    Args:
        votes: rows of ``simulate_votes``: ``row_a kind_a row_b kind_b prompt winner``.
        clap_audio: per kind (``"mix"``, ``"instrumental"``) the embeddings (clips, P).
        mert: per kind the embeddings (clips, M).
        prompts: CLAP text embedding (P,) of each prompt; ``""`` needs none (a vector of zeros).

    Raises:
        InputError: a prompt without embedding, or an unknown winner.
    """
    width = next(iter(clap_audio.values())).shape[1]
    text = _prompt_features(votes["prompt"], prompts, width)
    sides = [
        ClipFeatures(
            _pick(clap_audio, votes[f"row_{side}"], votes[f"kind_{side}"]),
            _pick(mert, votes[f"row_{side}"], votes[f"kind_{side}"]),
            text,
        )
        for side in "ab"
    ]
    return PairFeatures(sides[0], sides[1], targets(votes["winner"]))


def _pick(
    tables: Mapping[str, Tensor], rows: pd.Series[int], kinds: pd.Series[str]
) -> Float[Tensor, "n width"]:
    index = torch.from_numpy(rows.to_numpy(dtype="int64", copy=True))
    picked = torch.empty(len(rows), next(iter(tables.values())).shape[1])
    for kind in kinds.unique():
        of_kind = torch.from_numpy((kinds == kind).to_numpy(dtype=bool, copy=True))
        picked[of_kind] = tables[kind][index[of_kind]]
    return picked


def _prompt_features(
    texts: pd.Series[str], prompts: Mapping[str, Tensor], width: int
) -> Float[Tensor, "n P"]:
    if missing := sorted(set(texts) - set(prompts) - {""}):
        raise InputError(f"{len(missing)} prompts have no embedding, the first {missing[0]!r}")
    known = {**prompts, "": torch.zeros(width)}
    return torch.stack([known[text] for text in texts])


@dataclass(frozen=True)
class RankerTrainingConfig:
    """How the head is trained; the defaults are the released recipe.

    Attributes:
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        batch_size: pairs a step.
        max_epochs: upper limit.
        patience: epochs without a better validation loss before training stops, with the best
            weights kept; None trains all ``max_epochs`` and keeps the last weights.
        min_delta: by how much a validation loss must fall to count as better.
        output_gain: factor on the initial weights of the last layer; 1 is the released recipe.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 1e-3
    batch_size: int = 32
    max_epochs: int = 1000
    patience: int | None = 30
    min_delta: float = 1e-4
    # PAPER-DEVIATION: Kaiming-normal by fan-out gives the last layer (fan-out 1) weights of
    # standard deviation √2, and an untrained head of the paper's widths margins of about ±20. The
    # paper's 550 steps an epoch unlearn them; a small profile has a few hundred steps in all and
    # starts from smaller weights.
    output_gain: float = 1.0

    def __post_init__(self) -> None:
        patience = 1 if self.patience is None else self.patience
        steps = (self.batch_size - 1, self.max_epochs, patience)
        if min(self.learning_rate, self.output_gain, *steps) <= 0:
            raise ConfigError(
                "ranker training needs a rate, batches of 2, an epoch, patience and an output gain"
            )


@dataclass(frozen=True)
class EpochRecord:
    """Mean losses of one epoch, in nats a pair."""

    epoch: int
    train_loss: float
    valid_loss: float


@dataclass(frozen=True)
class RankerHistory:
    """What training did: one record an epoch, and the epoch of the lowest validation loss."""

    records: tuple[EpochRecord, ...]
    best_epoch: int

    @property
    def best_valid_loss(self) -> float:
        """The lowest validation loss."""
        return self.records[self.best_epoch].valid_loss


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
) -> RankerHistory:
    """Train ``head`` in place and leave it in evaluation mode.

    The two sides pass through the head one after the other, so BatchNorm normalises each side by
    its own batch statistics and updates its running ones twice a step, as the released code does.

    Args:
        head: its initial weights are the starting point.
        train: votes to learn from.
        valid: votes whose loss decides when to stop and which weights to keep.
        config: the recipe.
        seed: streams ``ranker/order`` (shuffling) and ``ranker/dropout``.

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
    records: list[EpochRecord] = []
    best = _Best(config.min_delta)
    for epoch in track(range(config.max_epochs), "ranker"):
        loss = _train_epoch(head, optimizer, train, config.batch_size, order)
        records.append(EpochRecord(epoch, loss, validation_loss(head, valid)))
        best.offer(head, records[-1])
        if config.patience is not None and epoch - best.epoch >= config.patience:
            break
    if config.patience is not None:
        head.load_state_dict(best.state)
    head.set_dropout_generator(None)
    head.eval()
    return RankerHistory(tuple(records), best.epoch)


@torch.no_grad()
def validation_loss(head: TuneJuryHead, pairs: PairFeatures) -> float:
    """Mean RankNet loss in evaluation mode, in nats a pair."""
    head.eval()
    return float(ranknet_loss(head.score(pairs.a), head.score(pairs.b), pairs.target))


class _Best:
    """The weights with the lowest validation loss so far."""

    def __init__(self, min_delta: float) -> None:
        self.min_delta = min_delta
        self.epoch = 0
        self.loss = float("inf")
        self.state: dict[str, Tensor] = {}

    def offer(self, head: TuneJuryHead, record: EpochRecord) -> None:
        if record.valid_loss < self.loss - self.min_delta:
            self.epoch, self.loss = record.epoch, record.valid_loss
            self.state = {name: value.clone() for name, value in head.state_dict().items()}


def _train_epoch(
    head: TuneJuryHead,
    optimizer: torch.optim.Optimizer,
    pairs: PairFeatures,
    batch_size: int,
    order: torch.Generator,
) -> float:
    head.train()
    total = 0.0
    for rows in batches(len(pairs), batch_size, order):
        batch = pairs[rows]
        loss = ranknet_loss(head.score(batch.a), head.score(batch.b), batch.target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    mean = total / len(pairs)
    if mean != mean or mean == float("inf"):
        raise InputError("the ranker's loss is not finite; check the features for NaN")
    return mean


def batches(n: int, batch_size: int, order: torch.Generator) -> Iterator[Tensor]:
    """Shuffled row numbers of one epoch, ``batch_size`` at a time, the incomplete rest last."""
    rows = torch.randperm(n, generator=order)
    # PAPER-SILENT: BatchNorm has no statistics of a single pair, on which the released loop would
    # stop with an error; a last batch of one joins the batch before it.
    ends = list(range(batch_size, n - 1, batch_size))
    return iter(torch.tensor_split(rows, ends))
