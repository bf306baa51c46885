"""Statements on the network that our own implementation of it can count."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from attm_companion.ledger.evidence import Evidence, Outcome
from attm_companion.ledger.registry import check

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from attm_core.backbone.config import Conditions
    from attm_core.backbone.flux_audio import FluxAudio
    from attm_core.backbone.score_heads import HeadName

HEADS: tuple[HeadName, ...] = (
    "global_adaln",
    "input_add",
    "audio_prepend",
    "per_block_adaln",
    "text_prepend",
)


@cache
def state_shapes(head: HeadName) -> dict[str, tuple[int, ...]]:
    """Shapes of a state dict of full depth and small width: the keys are those of FluxAudio-S."""
    import torch

    from attm_core.backbone.config import FluxAudioConfig
    from attm_core.backbone.flux_audio import FluxAudio

    thin = FluxAudioConfig(width=28, token_width=8, pooled_width=8, ffn_multiple=8, score_head=head)
    state = FluxAudio(thin, torch.Generator()).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


@cache
def tensor_sizes() -> dict[str, int]:
    """Numbers in each tensor of the full-size model with InputAdd (half a gigabyte while built)."""
    import torch

    from attm_core.backbone.config import FluxAudioConfig
    from attm_core.backbone.flux_audio import FluxAudio

    model = FluxAudio(FluxAudioConfig(score_head="input_add"), torch.Generator())
    return {name: tensor.numel() for name, tensor in model.state_dict().items()}


def parameter_count(with_score_head: bool) -> int:
    """Numbers in the full-size state dict, with or without the score embedding."""
    backbone = state_shapes("none")
    return sum(n for name, n in tensor_sizes().items() if with_score_head or name in backbone)


@cache
def velocity_change_at_start(head: HeadName) -> float:
    """Largest change of the velocity that an untrained score head causes, on random weights."""
    import torch

    from attm_core.backbone.config import FluxAudioConfig
    from attm_core.backbone.flux_audio import FluxAudio
    from attm_core.randomness import torch_generator

    plain = FluxAudio(FluxAudioConfig.mini(), torch_generator(0, "claims", "model")).eval()
    _randomize(plain)
    headed = FluxAudio(FluxAudioConfig.mini(score_head=head), torch_generator(0, "claims", "model"))
    headed.eval().load_state_dict(plain.state_dict(), strict=False)
    arguments = _random_inputs(plain)
    with torch.no_grad():
        without, with_head = plain(*arguments, None), headed(*arguments, torch.tensor([2.0, -1.0]))
    return float((with_head - without).abs().max() / without.abs().max())


def _randomize(model: torch.nn.Module) -> None:
    """Weights away from the zero initialisation, where every velocity is zero."""
    import torch

    from attm_core.randomness import torch_generator

    generator = torch_generator(0, "claims", "weights")
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(0.05 * noise if parameter.requires_grad else noise.abs() + 1)


def _random_inputs(model: FluxAudio) -> tuple[Tensor, Tensor, Conditions]:
    import torch

    from attm_core.backbone.config import Conditions
    from attm_core.randomness import torch_generator

    c = model.config
    draw = torch_generator(0, "claims", "inputs")
    x = torch.randn(2, c.n_latents, c.n_channels, generator=draw)
    tokens = torch.randn(2, c.n_tokens, c.token_width, generator=draw)
    pooled = torch.randn(2, c.pooled_width, generator=draw)
    return x, torch.tensor([0.3, 0.7]), Conditions(tokens, pooled)


@check("C01")
def size_of_backbone(evidence: Evidence) -> Outcome:
    """Numbers in our full-size backbone without a head."""
    count = parameter_count(with_score_head=False)
    stated = evidence.paper["text.backbone_parameters_m"]
    return Outcome(
        "holds" if round(count / 1e6) == stated else "contradicted",
        f"FluxAudio-S as published has {count / 1e6:.2f} M parameters.",
        {"parameters": count},
    )


@check("C34")
def score_embedding(evidence: Evidence) -> Outcome:
    """Shapes of our score embedding against the stated width and key count."""
    backbone = state_shapes("none")
    extra = {name: size for name, size in tensor_sizes().items() if name not in backbone}
    widths = {size for name, size in extra.items() if name.endswith("bias")}
    fits = len(extra) + len(backbone) == evidence.paper["hyper.backbone.n_keys"]
    stated = widths == {round(evidence.paper["hyper.backbone.score_embedding_width"])}
    return Outcome(
        "holds_loosely" if fits and stated else "contradicted",
        f"{len(backbone)} keys of the public backbone and {len(extra)} of such an "
        "embedding make the stated number; number and bandwidth of the Fourier features are not "
        "stated, the module is not public.",
        {"backbone_keys": len(backbone), "embedding_keys": len(extra)},
    )


@check("C35")
def identical_at_start(evidence: Evidence) -> Outcome:
    """Velocity with an untrained head against none, for all five heads."""
    changes = {head: velocity_change_at_start(head) for head in HEADS}
    deployed = max(changes["global_adaln"], changes["input_add"]) < 1e-5
    moved = [head for head, change in changes.items() if change >= 1e-5]
    return Outcome(
        "holds" if deployed and not moved else "holds_loosely" if deployed else "contradicted",
        "True for the additive heads, v1 and v2 among them; a prepended zero token still takes "
        f"part in attention, so {' and '.join(moved) or 'none'} differ from the start. Stage 1 "
        "trains from scratch (C32), where the property is not used.",
        {f"relative_change_{head}": change for head, change in changes.items()},
    )


@check("C36", "C66")
def shared_graph(evidence: Evidence) -> Outcome:
    """State dicts of v1 and v2, key by key."""
    v1, v2 = state_shapes("global_adaln"), state_shapes("input_add")
    stated = evidence.paper["hyper.backbone.n_keys"]
    same = v1 == v2 and len(v1) == stated
    return Outcome(
        "holds" if same else "contradicted",
        f"Two heads that own nothing but the embedding share {len(v1)} keys and shapes, the stated "
        f"{stated:.0f}; so all of them can be transferred.",
        {"keys_v1": len(v1), "keys_v2": len(v2), "same_shapes": v1 == v2},
    )


@check("C32")
def adopted_or_trained(evidence: Evidence) -> Outcome:
    """Section III-A against Section III-D(b), by the size of Stage 1."""
    paper = evidence.paper
    passes = (
        paper["hyper.stage1.updates"] * paper["hyper.stage1.batch_size"] / paper["hyper.data.clips"]
    )
    above = evidence.audit["clips.systems.baseline.bandwidth_hz.max"]
    return Outcome(
        "contradicted",
        f"III-A adopts the checkpoint, III-D(b) trains from scratch ({passes:.0f} passes over the "
        "data), as the challenge's rules ask. The public baseline recipe is for 16 kHz; the "
        f"demo's baseline reaches {above / 1000:.1f} kHz, so it is not that recipe as published.",
        {"stage1_passes": passes, "baseline_bandwidth_hz": above},
    )
