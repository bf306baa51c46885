"""The optimisation loop of the miniature's networks; the paper's stages have one of their own."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Generator, Tensor, nn

from attm_companion.world.config import FitConfig
from attm_core.errors import InputError
from attm_core.precision import fast_autocast
from attm_core.progress import track


def shuffled_batches(
    n_items: int, batch_size: int, n_batches: int, generator: Generator
) -> Iterator[Tensor]:
    """Rows of ``n_batches`` batches: each pass over the items is a new permutation.

    The remainder of a pass that does not fill a batch is dropped; a set smaller than one batch is
    one batch.

    Raises:
        InputError: there is no item.
    """
    if n_items == 0:
        raise InputError("nothing to train on: the set is empty")
    batch_size = min(batch_size, n_items)
    rows = torch.empty(0, dtype=torch.long)
    for _ in range(n_batches):
        if len(rows) < batch_size:
            rows = torch.randperm(n_items, generator=generator)
        yield rows[:batch_size]
        rows = rows[batch_size:]


def fit(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    n_items: int,
    config: FitConfig,
    generator: Generator,
    description: str,
) -> None:
    """Minimise ``loss(rows)`` over the parameters of ``module``, in place; ends in eval mode.

    The loss is a scalar, of the items with row numbers (B,) below ``n_items``, under autocast; the
    generator draws the batches.
    """
    # One fused update instead of a Python loop over a hundred small tensors.
    decay = config.weight_decay
    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=decay, fused=True)
    module.train()
    batches = shuffled_batches(n_items, config.batch_size, config.steps, generator)
    rates = [config.learning_rate * config.rate_factor(step) for step in range(config.steps)]
    bound, bf16 = config.max_grad_norm, config.bf16
    minimise(lambda: loss(next(batches)), optimizer, rates, description, bound, bf16)
    module.eval()


def minimise(
    loss: Callable[[], Tensor],
    optimizer: torch.optim.Optimizer,
    rates: Sequence[float],
    description: str,
    max_grad_norm: float | None = None,
    bf16: bool = False,
) -> None:
    """One step down the gradient of ``loss()`` per learning rate; the one loop of the miniature.

    Gradients are scaled down to ``max_grad_norm``, if given; ``bf16`` is autocast of the loss where
    that is fast.
    """
    (group,) = optimizer.param_groups
    for rate in track(rates, description):
        group["lr"] = rate
        with fast_autocast("cpu", bf16):
            value = loss()
        optimizer.zero_grad()
        value.backward()
        if max_grad_norm is not None:
            nn.utils.clip_grad_norm_(group["params"], max_grad_norm)
        optimizer.step()


def random_crops(items: Tensor, width: int, generator: Generator) -> Tensor:
    """One window of ``width`` along the last axis of each item, at a random place of its own.

    (B, M, L) → (B, M, min(width, L)).
    """
    spare = items.shape[-1] - width
    if spare <= 0:
        return items
    starts = torch.randint(spare + 1, (len(items),), generator=generator)
    return crop_at(items, starts, width)


def crop_at(items: Tensor, starts: Tensor, width: int) -> Tensor:
    """Windows of ``width`` frames of (B, M, L) that begin at ``starts`` (B,)."""
    pieces = [
        item[:, start : start + width] for item, start in zip(items, starts.tolist(), strict=True)
    ]
    return torch.stack(pieces)
