"""The paper's encoders at birth: published sizes, random weights, no file and no network.

They cost what the published ones cost (time, memory, parameters) and know nothing: for trying the
published system's machinery, and for measuring it, on a machine that holds none of its weights.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch import Generator, nn

from attm_core.encoders.flan_t5 import FlanT5
from attm_core.encoders.laion_clap import LaionClap
from attm_core.encoders.laion_clap_network import ClapArchitecture, build_network
from attm_core.encoders.mert import NO_MASKING, Mert
from attm_core.errors import ConfigError

Module = TypeVar("Module", bound=nn.Module)

# What ``config.json`` of google/flan-t5-large says of the encoder: 341,231,104 parameters.
FLAN_T5_LARGE: Mapping[str, Any] = MappingProxyType(
    {
        "vocab_size": 32_128,
        "d_model": 1024,
        "d_kv": 64,
        "d_ff": 2816,
        "num_layers": 24,
        "num_heads": 16,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
    }
)
# What ``config.json`` of m-a-p/MERT-v1-330M says where it differs from HuBERT's defaults.
MERT_V1_330M: Mapping[str, Any] = MappingProxyType(
    {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "do_stable_layer_norm": True,
        "feat_extract_norm": "group",
    }
)
UNUSED_T5_ROWS = 28  # the embedding is padded to a multiple of 128; the tokenizer has 32,100 words


@dataclass(frozen=True)
class SpecialTokens:
    """Numbers that a tokenizer keeps for itself.

    Attributes:
        padding: fills short texts.
        end: follows every text.
        start: precedes every text; None if nothing does.
        n_first: words are numbered from here.
        n_last: numbers kept after the words.
    """

    padding: int
    end: int
    start: int | None
    n_first: int
    n_last: int


T5_SPECIAL = SpecialTokens(padding=0, end=1, start=None, n_first=3, n_last=100)
ROBERTA_SPECIAL = SpecialTokens(padding=1, end=2, start=0, n_first=4, n_last=1)


class StandInTokenizer:
    """Every word is a token, numbered by a hash of it: no vocabulary, no file.

    It is called as the tokenizers of ``transformers`` are, and always pads and cuts to
    ``max_length``, as the encoders ask.

    Args:
        n_words: size of the vocabulary, special tokens included.
        special: their numbers.

    Raises:
        ConfigError: the special tokens leave no room for a word.
    """

    def __init__(self, n_words: int, special: SpecialTokens) -> None:
        self.n_words = n_words
        self.special = special
        self.n_ordinary = n_words - special.n_first - special.n_last
        if self.n_ordinary < 1:
            raise ConfigError(f"{n_words} words are only special tokens; ask for more")

    def __len__(self) -> int:
        return self.n_words

    def __call__(self, texts: Sequence[str], max_length: int, **_as_published: object) -> Any:
        """``input_ids`` and ``attention_mask``, each (B, max_length)."""
        from transformers import BatchEncoding

        rows = [self._numbers(text, max_length) for text in texts]
        fill = self.special.padding
        ids = torch.tensor([row + [fill] * (max_length - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (max_length - len(row)) for row in rows])
        return BatchEncoding({"input_ids": ids, "attention_mask": mask})

    def _numbers(self, text: str, max_length: int) -> list[int]:
        words = re.findall(r"\w+|[^\w\s]", text)
        numbers = [zlib.crc32(word.encode()) % self.n_ordinary for word in words]
        start = [] if self.special.start is None else [self.special.start]
        kept = numbers[: max_length - len(start) - 1]
        return [*start, *(self.special.n_first + number for number in kept), self.special.end]


def born(make: Callable[[], Module], generator: Generator) -> Module:
    """What ``make`` builds with its own initialisation, for inference, drawn from ``generator``.

    Other people's constructors draw from PyTorch's global stream; here that stream is a fork that
    starts from one number of ``generator``, and is put back afterwards.

    Args:
        make: builds the module on the CPU.
        generator: on the CPU; moves on by one number.
    """
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = make()
    return module.eval().requires_grad_(False)


def random_flan_t5(generator: Generator, sizes: Mapping[str, Any] | None = None) -> FlanT5:
    """The encoder of FLAN-T5-Large at birth (Section III-A), with a stand-in tokenizer.

    Args:
        generator: source of the weights.
        sizes: arguments of ``T5Config`` in place of the published ones; smaller ones for tests.

    Raises:
        ConfigError: a vocabulary of special tokens only.
    """
    from transformers import T5Config, T5EncoderModel

    config = T5Config(**{**FLAN_T5_LARGE, **(sizes or {})})
    tokenizer = StandInTokenizer(config.vocab_size - UNUSED_T5_ROWS, T5_SPECIAL)
    return FlanT5(born(lambda: T5EncoderModel(config), generator), tokenizer)


def random_laion_clap(
    generator: Generator, architecture: ClapArchitecture | None = None
) -> LaionClap:
    """LAION-CLAP at birth (Sections III-A, III-C, IV), with a stand-in tokenizer.

    Args:
        generator: source of the weights.
        architecture: that of the published checkpoints if None.

    Raises:
        AssetError: ``laion-clap`` is not installed.
        ConfigError: no such audio configuration, or a vocabulary of special tokens only.
    """
    architecture = architecture or ClapArchitecture()
    tokenizer = StandInTokenizer(architecture.n_words, ROBERTA_SPECIAL)
    return LaionClap(born(lambda: build_network(architecture), generator), tokenizer)


def random_mert(generator: Generator, sizes: Mapping[str, Any] | None = None) -> Mert:
    """MERT-v1-330M at birth (Section III-C): HuBERT's class, as the published weights are read.

    Args:
        generator: source of the weights.
        sizes: arguments of ``HubertConfig`` in place of the published ones; smaller ones for tests.
    """
    from transformers import HubertConfig, HubertModel

    config = HubertConfig(**{**MERT_V1_330M, **NO_MASKING, **(sizes or {})})
    return Mert(born(lambda: HubertModel(config), generator))
