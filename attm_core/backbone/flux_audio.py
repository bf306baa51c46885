"""FluxAudio (Section III-A): the flow-matching transformer, one class for the mini and full size.

    x_t (B, N, C) ─ conv-7, SELU, conv-SwiGLU ─ z (B, N, D) ┐
    tokens (B, T, F) ─ linear, SwiGLU ───────── y (B, T, D) ┤ joint blocks ─ fused blocks ─ velocity
    t, pooled (B, P) ─ embeddings, summed ───── c (B, 1, D) ┘ (attention over [z, y]; then over z)

The score embedding e_s of Section III-B enters where the score head puts it
(:mod:`attm_core.backbone.score_heads`). Keys and shapes of the state dict are those of the
published checkpoints: 198 at 44.1 kHz, 203 with the heads v1 and v2.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attm_core.backbone.blocks import (
    ChannelLastConv,
    FinalLayer,
    JointBlock,
    StreamBlock,
    SwiGLU,
    TimeEmbedding,
)
from attm_core.backbone.config import Conditions, FluxAudioConfig
from attm_core.backbone.rotary import rotary_table
from attm_core.backbone.score_heads import Entry, ScoreEmbedding, make_head
from attm_core.constants import NULL_SCORE
from attm_core.errors import InputError

__all__ = ["Conditions", "FluxAudio", "FluxAudioConfig"]


class FluxAudio(nn.Module):
    """Velocity field v(x_t, t | text, s) of the reverse flow: t = 1 is noise, t = 0 is data.

    Initial weights are from ``generator``; the global random state is neither read nor moved.
    """

    latent_mean: nn.Parameter
    latent_std: nn.Parameter
    empty_string_feat: nn.Parameter
    empty_string_feat_c: nn.Parameter
    audio_table: Tensor
    text_table: Tensor
    score_embed: ScoreEmbedding

    def __init__(self, config: FluxAudioConfig, generator: torch.Generator):
        super().__init__()
        self.config = config
        # PyTorch's constructors draw weights from the global state; ours replace them right after.
        # (Building on the meta device would avoid the draw, but imports sympy: seconds a process.)
        with torch.random.fork_rng(devices=[]):
            self._build(config)
        initialize(self, generator)
        self._add_table("audio_table", config.n_latents)
        self._add_table("text_table", config.n_tokens)

    def _build(self, config: FluxAudioConfig) -> None:
        width, hidden, n_heads = config.width, config.ffn_hidden, config.n_heads
        self.audio_input_proj = nn.Sequential(
            ChannelLastConv(config.n_channels, width, 7), nn.SELU(), SwiGLU(width, hidden, 7)
        )
        tokens, pooled = (nn.Linear(n, width) for n in (config.token_width, config.pooled_width))
        self.text_input_proj = nn.Sequential(tokens, SwiGLU(width, hidden))
        self.text_cond_proj = nn.Sequential(pooled, SwiGLU(width, hidden))
        self.t_embed = TimeEmbedding(width)
        self.joint_blocks = nn.ModuleList(
            JointBlock(width, n_heads, hidden, last=i == config.n_joint - 1)
            for i in range(config.n_joint)
        )
        self.fused_blocks = nn.ModuleList(
            StreamBlock(width, n_heads, hidden, kernel=3) for _ in range(config.n_fused)
        )
        self.final_layer = FinalLayer(width, config.n_channels)
        shapes = {  # frozen parameters that travel with the weights
            "latent_mean": (1, 1, config.n_channels),
            "latent_std": (1, 1, config.n_channels),
            "empty_string_feat": (config.n_tokens, config.token_width),
            "empty_string_feat_c": (config.pooled_width,),
        }
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape), requires_grad=False))
        self.score_head = make_head(config.score_head, width, config.n_joint + config.n_fused)
        if self.score_head is not None:
            self.score_embed = ScoreEmbedding(width, config.score_features, config.score_bandwidth)

    def _add_table(self, name: str, length: int) -> None:
        # A head that prepends a token says so in its `prefix`: the token stands at position −1.
        prefix = int(getattr(self.score_head, "prefix", None) == name)
        table = rotary_table(length + prefix, self.config.head_width, first=-prefix)
        self.register_buffer(name, table, persistent=False)

    def forward(
        self,
        x_t: Float[Tensor, "B N C"],
        t: Float[Tensor, " B"],
        conditions: Conditions,
        s: Float[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B N C"]:
        """The velocity at (x_t, t).

        Args:
            x_t: normalised latents on the path from data (t = 0) to noise (t = 1).
            t: flow times in [0, 1].
            conditions: text features; :meth:`null_conditions` for the null text.
            s: scores in reward units; None is the null score ∅_s = 0.

        Raises:
            InputError: latents or conditions of other sizes, or a score without a score head.
        """
        return self.velocity(x_t, t, self.project(conditions), s)

    def project(self, conditions: Conditions) -> Conditions:
        """Text features at model width: tokens (B, T, D), pooled (B, D); constant over t."""
        tokens, pooled = conditions.tokens, conditions.pooled
        wanted = (self.config.n_tokens, self.config.token_width)
        if tuple(tokens.shape[1:]) != wanted or pooled.shape[-1] != self.config.pooled_width:
            raise InputError(
                f"conditions have tokens {tuple(tokens.shape)}, pooled {tuple(pooled.shape)}; this "
                f"model takes (B, {wanted[0]}, {wanted[1]}) and (B, {self.config.pooled_width})"
            )
        return Conditions(self.text_input_proj(tokens), self.text_cond_proj(pooled))

    def velocity(
        self, x_t: Tensor, t: Tensor, projected: Conditions, s: Tensor | None = None
    ) -> Float[Tensor, "B N C"]:
        """As :meth:`forward`, from conditions that :meth:`project` has projected once.

        Guidance asks for k·B times, conditions and scores at B latents: k branches at one x_t.
        """
        entry = self._enter(x_t, t, projected, s)
        extra = entry.extra or (None,) * (self.config.n_joint + self.config.n_fused)
        streams, tables = (entry.audio, entry.text), (self.audio_table, self.text_table)
        for block, term in zip(self.joint_blocks, extra, strict=False):
            streams = block(streams, entry.c, tables, term)
        audio = streams[0]
        for block, term in zip(self.fused_blocks, extra[self.config.n_joint :], strict=True):
            audio = block(audio, entry.c, self.audio_table, term)
        out: Tensor = self.final_layer(audio[:, -self.config.n_latents :], entry.c)
        return out.to(x_t.dtype)

    def _enter(self, x_t: Tensor, t: Tensor, projected: Conditions, s: Tensor | None) -> Entry:
        """Tokens and global condition before the first block, with the score in them."""
        if tuple(x_t.shape[1:]) != (self.config.n_latents, self.config.n_channels):
            raise InputError(
                f"latents have shape {tuple(x_t.shape)}; this model takes "
                f"(B, {self.config.n_latents}, {self.config.n_channels})"
            )
        # The residual streams stay float32 under autocast: only the products are bfloat16.
        audio = self.audio_input_proj(x_t).float()
        if len(projected) > len(audio):  # the branches of guidance share x_t
            audio = audio.repeat(len(projected) // len(audio), 1, 1)
        c = (self.t_embed(t).float() + projected.pooled.float())[:, None]
        entry = Entry(audio, projected.tokens.float(), c)
        if self.score_head is None:
            if s is not None:
                raise InputError("this model has no score head: pass s=None")
            return entry
        s = torch.full_like(t, NULL_SCORE) if s is None else s
        out: Entry = self.score_head(entry, self.score_embed(s).float())
        return out

    def null_conditions(self, batch: int) -> Conditions:
        """The null text ∅_t: features of the empty string, as set by :meth:`set_null_text`."""
        return Conditions(
            self.empty_string_feat.expand(batch, -1, -1), self.empty_string_feat_c.expand(batch, -1)
        )

    def set_null_text(self, tokens: Float[Tensor, "T F"], pooled: Float[Tensor, " P"]) -> None:
        """Store the encoders' outputs for the empty string.

        Raises:
            InputError: another number of values than the model's, or NaN or infinite ones.
        """
        _fill(self.empty_string_feat, tokens, "null-text tokens")
        _fill(self.empty_string_feat_c, pooled, "pooled null text")

    def set_latent_statistics(self, mean: Float[Tensor, " C"], std: Float[Tensor, " C"]) -> None:
        """Store mean and standard deviation of the training latents, per channel.

        Raises:
            InputError: not one finite value per channel, or a standard deviation that is not > 0.
        """
        if not bool((std > 0).all()):
            raise InputError("latent standard deviations must be positive; is a channel constant?")
        _fill(self.latent_mean, mean, "latent mean")
        _fill(self.latent_std, std, "latent standard deviation")

    def normalize(self, latents: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        """(latents − mean) / std.

        Raises:
            InputError: the statistics were never set.
        """
        mean, std = self._statistics()
        return (latents - mean) / std

    def unnormalize(self, latents: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        """Undo :meth:`normalize`: latents · std + mean."""
        mean, std = self._statistics()
        return latents * std + mean

    def _statistics(self) -> tuple[Tensor, Tensor]:
        if bool(torch.isnan(self.latent_mean).any() | torch.isnan(self.latent_std).any()):
            raise InputError(
                "the model has no latent statistics: call set_latent_statistics with the mean and "
                "standard deviation of the training latents, or load a checkpoint that has them"
            )
        return self.latent_mean, self.latent_std


def _fill(parameter: nn.Parameter, values: Tensor, what: str) -> None:
    if values.numel() != parameter.numel() or not bool(torch.isfinite(values).all()):
        raise InputError(
            f"{what} of shape {tuple(values.shape)} must hold {parameter.numel()} finite values"
        )
    with torch.no_grad():
        parameter.copy_(values.reshape(parameter.shape))


@torch.no_grad()
def initialize(model: FluxAudio, generator: torch.Generator) -> None:
    """The reference's initialisation, in module order, from ``generator``.

    Linear: Xavier-uniform, zero bias; convolutions: PyTorch's default; time embedding N(0, 0.02²);
    all AdaLN outputs and the final convolution zero, so that the initial velocity is exactly 0.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
        elif isinstance(module, ChannelLastConv):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
        elif isinstance(module, nn.RMSNorm):
            module.weight.fill_(1.0)
        if isinstance(module, nn.Linear) and module.bias is not None:
            module.bias.zero_()
        elif isinstance(module, ChannelLastConv) and module.bias is not None:
            bound = 1 / math.sqrt(module.weight[0].numel())
            module.bias.uniform_(-bound, bound, generator=generator)
    for layer in model.t_embed.mlp:
        if isinstance(layer, nn.Linear):
            layer.weight.normal_(std=0.02, generator=generator)
    for name, parameter in model.named_parameters():
        if "adaLN_modulation" in name or name.startswith("final_layer."):
            parameter.zero_()
    model.latent_mean.fill_(torch.nan)
    model.latent_std.fill_(torch.nan)
    model.empty_string_feat.zero_()
    model.empty_string_feat_c.zero_()
    if model.score_head is not None:
        model.score_embed.initialize()
