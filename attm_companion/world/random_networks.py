"""The paper's fixed networks with random weights: published sizes, no file and no network.

They cost what the published ones cost (time, memory, parameters) and know nothing: for trying the
published system's machinery, and for measuring it, on a machine that holds none of its weights.
Text is read byte by byte, by the tokenizer that needs no vocabulary.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Generator, nn

from attm_core.configuration import ClapArchitecture
from attm_core.encoders.flan_t5 import FlanT5
from attm_core.encoders.laion_clap import LaionClap, build_network
from attm_core.encoders.mert import NO_MASKING, Mert
from attm_core.generation.separation import DemucsSeparator

Module = TypeVar("Module", bound=nn.Module)

# What ``config.json`` of google/flan-t5-large says of the encoder: 341,231,104 parameters.
FLAN_T5_LARGE: Mapping[str, Any] = {
    "vocab_size": 32_128, "d_model": 1024, "d_kv": 64, "d_ff": 2816, "num_layers": 24,
    "num_heads": 16, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
}  # fmt: skip
# What ``config.json`` of m-a-p/MERT-v1-330M says where it differs from HuBERT's defaults.
MERT_V1_330M: Mapping[str, Any] = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
    "intermediate_size": 4096, "do_stable_layer_norm": True, "feat_extract_norm": "group",
}  # fmt: skip
SOURCES = ["drums", "bass", "other", "vocals"]
SEGMENT_S = 44.0  # of the published bag: a clip of 10 s is one segment
# demucs' model zoo: four hybrid models of 48 channels, two on complex spectrograms as channels and
# two on masked amplitudes, all averaged with equal weights. The rest is the package's default.
COMPLEX_AS_CHANNELS = (True, True, False, False)


def randomly_initialised(make: Callable[[], Module], generator: Generator) -> Module:
    """What ``make`` builds with its own initialisation, for inference, drawn from ``generator``.

    Other people's constructors draw from PyTorch's global stream; here that stream is a fork that
    starts from one number of ``generator``, and is put back afterwards.
    """
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = make()
    return module.eval().requires_grad_(False)


def random_flan_t5(generator: Generator, sizes: Mapping[str, Any] | None = None) -> FlanT5:
    """The encoder of FLAN-T5-Large (Section III-A), or of other ``sizes``."""
    from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

    config = T5Config(**{**FLAN_T5_LARGE, **(sizes or {})})
    return FlanT5(randomly_initialised(lambda: T5EncoderModel(config), generator), ByT5Tokenizer())


def random_laion_clap(
    generator: Generator, architecture: ClapArchitecture | None = None
) -> LaionClap:
    """LAION-CLAP (Sections III-A, III-C, IV), of the published architecture if None."""
    from transformers import ByT5Tokenizer

    own = architecture or ClapArchitecture()
    return LaionClap(randomly_initialised(lambda: build_network(own), generator), ByT5Tokenizer())


def random_mert(generator: Generator, sizes: Mapping[str, Any] | None = None) -> Mert:
    """MERT-v1-330M (Section III-C), or of other ``sizes``."""
    from transformers import HubertConfig, HubertModel

    config = HubertConfig(**{**MERT_V1_330M, **NO_MASKING, **(sizes or {})})
    return Mert(randomly_initialised(lambda: HubertModel(config), generator))


def random_mdx_extra(
    generator: Generator, sizes: Mapping[str, Any] | None = None
) -> DemucsSeparator:
    """mdx_extra (Section III-E(b)): four Hybrid-Demucs models, or of other ``sizes``."""
    from demucs.apply import BagOfModels
    from demucs.hdemucs import HDemucs

    makers = [partial(HDemucs, SOURCES, cac=cac, **(sizes or {})) for cac in COMPLEX_AS_CHANNELS]
    models = [randomly_initialised(make, generator) for make in makers]
    return DemucsSeparator(BagOfModels(models, segment=SEGMENT_S))
