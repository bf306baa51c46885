"""The size of the backbone and of its checkpoint."""

from functools import cache

import torch

from attm_companion.ledger.checks.arithmetic import holds
from attm_companion.ledger.evidence import Result
from attm_companion.paper_numbers import Paper
from attm_core.backbone.config import FluxAudioConfig
from attm_core.backbone.flux_audio import FluxAudio


@cache
def tensor_sizes() -> dict[str, int]:
    """Numbers in each tensor of our full-size model with InputAdd (shapes only, built once)."""
    with torch.device("meta"):
        model = FluxAudio(FluxAudioConfig(score_head="input_add"), torch.Generator())
    return {name: tensor.numel() for name, tensor in model.state_dict().items()}


def backbone_size(paper: Paper) -> Result:
    """Numbers in our full-size backbone without the score embedding."""
    count = sum(n for name, n in tensor_sizes().items() if not name.startswith("score_embed"))
    return holds(round(count / 1e6) == paper["text.backbone_parameters_m"]), {"parameters": count}


def checkpoint_size(paper: Paper) -> Result:
    """Bytes of all parameters in fp32."""
    size = sum(tensor_sizes().values()) * 4
    near = abs(size / 2**20 - paper["repository.checkpoint_mb"]) < 5
    return holds(near), {"megabytes": size / 1e6, "mebibytes": size / 2**20}
