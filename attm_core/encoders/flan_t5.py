"""Token states of FLAN-T5-Large (Section III-A): 77 × 1024, read from a local folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.assets import require_files
from attm_core.errors import CheckpointError
from attm_core.files import read_json
from attm_core.weights import build, load_strictly, read_state_dict

_ASSET = "flan_t5"
_WEIGHTS = "model.safetensors"
_FILES = (_WEIGHTS, "config.json", "tokenizer.json", "tokenizer_config.json")
_EMBEDDING = "shared.weight"
_TIED_EMBEDDING = "encoder.embed_tokens.weight"
_MASK = "attention_mask"
_CHUNK = 16


class FlanT5:
    """A frozen ``TextEncoder``: a ``T5EncoderModel`` with its tokenizer.

    ``n_tokens`` is T, the end marker included; longer texts are cut.
    """

    def __init__(self, model: Any, tokenizer: Any, n_tokens: int = 77) -> None:
        self.n_tokens = n_tokens
        self.width = int(model.config.d_model)
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path | None = None, device: str | torch.device = "cpu") -> FlanT5:
        """Read the encoder half of ``google/flan-t5-large`` as published; nothing is downloaded.

        ``folder`` holds weights, configuration and tokenizer; the asset's folder if None.

        Raises:
            AssetError: a file is missing.
            CheckpointError: corrupt or non-finite weights, weights of another configuration, or a
                tokenizer with more words than the model has embeddings.
            InputError: malformed ``config.json``.
        """
        folder = require_files(_ASSET, _FILES, folder)
        model = _load_model(folder).to(device)
        return cls(model, _load_tokenizer(folder, model.config.vocab_size))

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Float[Tensor, "B T F"]:
        """Token states (B, 77, 1024) on the CPU.

        The encoder's attention masks padding, but the states at padded positions are handed over
        as they come out, as in MeanAudio: the backbone attends to all 77.
        """
        options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        states = [torch.zeros(0, self.n_tokens, self.width)]
        for start in range(0, len(texts), _CHUNK):
            chunk = list(texts[start : start + _CHUNK])
            read = self._tokenizer(chunk, max_length=self.n_tokens, **options)
            ids, mask = (read[name].to(self._model.device) for name in ("input_ids", _MASK))
            found = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            states.append(found.float().cpu())
        return torch.cat(states)


def _load_model(folder: Path) -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config.from_dict(read_json(folder / "config.json"))
    # The file holds the decoder too, which is not read.
    names = (_EMBEDDING, "encoder.")
    tensors = read_state_dict(folder / _WEIGHTS, wanted=lambda name: name.startswith(names))
    # One matrix under two names, of which a safetensors file keeps one or the other.
    known = [tensors[name] for name in (_EMBEDDING, _TIED_EMBEDDING) if name in tensors]
    if known:
        tensors[_EMBEDDING] = tensors[_TIED_EMBEDDING] = known[0]
    model = build(lambda: T5EncoderModel(config))
    load_strictly(model, tensors, folder / _WEIGHTS)
    return model


def _load_tokenizer(folder: Path, n_embeddings: int) -> Any:
    from transformers import T5TokenizerFast

    try:
        tokenizer = T5TokenizerFast.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception on a corrupt file
        raise CheckpointError(f"{folder / 'tokenizer.json'} is unreadable: {error}") from error
    if len(tokenizer) > n_embeddings:
        raise CheckpointError(
            f"{folder}: a tokenizer of {len(tokenizer)} words does not belong to a model of "
            f"{n_embeddings}; fetch {_ASSET} again"
        )
    return tokenizer
