"""Post-hoc EMA: choose the averaging length after training (Section III-D(b), σ_rel 0.05 and 0.1).

Karras et al. (2024), "Analyzing and Improving the Training Dynamics of Diffusion Models",
Section 3: weights are averaged with the power profile ``p(τ) ∝ τ^γ`` over training time
τ ∈ [0, t], whose relative width σ_rel fixes γ. Two such averages are tracked and stored now and
then; an average of any other σ_rel is the combination of stored ones whose profile is nearest in
the least-squares sense.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attm_core.errors import CheckpointError, ConfigError
from attm_core.files import load_tensors, read_metadata, save_tensors

SIGMA_RELS = (0.05, 0.1)
_MAX_SIGMA_REL = 12**-0.5  # γ = 0, the plain mean of all steps; nothing wider is a power profile


def gamma_of(sigma_rel: float) -> float:
    """The exponent γ ≥ 0 of the power profile of relative width ``sigma_rel``.

    Root of ``γ³ + 7γ² + (16 − σ⁻²)γ + 12 − σ⁻² = 0``; 0.05 → 16.97, 0.1 → 6.94.

    Raises:
        ConfigError: ``sigma_rel`` is outside (0, 12^−½].
    """
    if not 0 < sigma_rel <= _MAX_SIGMA_REL:
        raise ConfigError(f"sigma_rel lies in (0, {_MAX_SIGMA_REL:.3f}], not {sigma_rel}")
    inverse = sigma_rel**-2
    roots = np.roots([1.0, 7.0, 16.0 - inverse, 12.0 - inverse])
    return max(0.0, float(roots.real.max()))


class PowerEma:
    """Running averages of a model's trainable weights, one for each relative width."""

    def __init__(self, model: nn.Module, sigma_rels: Iterable[float] = SIGMA_RELS) -> None:
        self.gammas = tuple(gamma_of(sigma) for sigma in sigma_rels)
        self._weights = trainable(model)
        live = list(self._weights.values())
        self._averages = [[weight.detach().clone() for weight in live] for _ in self.gammas]

    @torch.no_grad()
    def update(self, n_steps: int) -> None:
        """Take in the weights after ``n_steps`` steps (the first step is 1).

        The old average keeps the share ``(1 − 1/t)^(γ+1)`` at step t.
        """
        # PAPER-SILENT: the released code takes the geometric mean of this factor at t and t + 1;
        # the two agree to first order in 1/t, and this one gives the power profile exactly.
        live: list[Tensor] = list(self._weights.values())
        for gamma, average in zip(self.gammas, self._averages, strict=True):
            kept = float((1.0 - 1.0 / n_steps) ** (gamma + 1.0))
            torch._foreach_lerp_(average, live, 1.0 - kept)

    def tensors(self) -> dict[str, Tensor]:
        """All averages by name, ``{index}.{weight}``, as they are (not copies)."""
        return {
            f"{index}.{name}": tensor
            for index, average in enumerate(self._averages)
            for name, tensor in zip(self._weights, average, strict=True)
        }

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up averages given by `tensors`."""
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])

    def save_snapshot(self, folder: Path, n_steps: int) -> Path:
        """Store the averages of step ``n_steps`` for `_synthesize`."""
        metadata = {"gammas": " ".join(map(repr, self.gammas)), "step": str(n_steps)}
        path = Path(folder) / f"step_{n_steps:08d}.safetensors"
        return save_tensors(path, self.tensors(), metadata)


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trainable parameters of ``model`` by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _profile_products(
    steps_a: NDArray[np.float64],
    gammas_a: NDArray[np.float64],
    steps_b: NDArray[np.float64],
    gammas_b: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Inner products ∫ p_a(τ)·p_b(τ) dτ of power profiles, (a, b), in float64.

    ``p(τ) = (γ + 1)·τ^γ / t^(γ+1)`` on [0, t]; the integral runs to the smaller t.
    """
    t_a, gamma_a = steps_a[:, None], gammas_a[:, None]
    t_b, gamma_b = steps_b[None, :], gammas_b[None, :]
    until = np.minimum(t_a, t_b)
    shares = (until / t_a) ** (gamma_a + 1) * (until / t_b) ** (gamma_b + 1)
    scale = (gamma_a + 1) * (gamma_b + 1) / (gamma_a + gamma_b + 1)
    return np.asarray(scale * shares / until)


def _synthesize(folder: Path, sigma_rel: float, step: int | None = None) -> dict[str, Tensor]:
    """Float32 weights by name, averaged with width ``sigma_rel`` up to ``step`` (None: the last).

    The fit is close for widths near or between the tracked ones.
    """
    stored = sorted(Path(folder).glob("step_*.safetensors"))
    paths = [path for path in stored if step is None or _step_of(path) <= step]
    if not paths:
        wanted = "" if step is None else f" up to step {step}"
        raise CheckpointError(f"{folder} holds no averaged weights{wanted}: train with sigma_rels")
    gammas = np.array([float(text) for text in read_metadata(paths[0])["gammas"].split()])
    steps = np.repeat([float(_step_of(path)) for path in paths], len(gammas))
    own, until = np.tile(gammas, len(paths)), float(step or _step_of(paths[-1]))
    gram = _profile_products(steps, own, steps, own)
    target = np.array([until]), np.array([gamma_of(sigma_rel)])
    against = _profile_products(steps, own, *target)[:, 0]
    # least squares: close snapshots make the Gram matrix nearly singular
    weights = np.linalg.lstsq(gram * until, against * until, rcond=None)[0]
    total: dict[str, Tensor] = {}
    for path, coefficients in zip(paths, weights.reshape(len(paths), -1), strict=True):
        for key, tensor in load_tensors(path).items():
            index, name = key.split(".", 1)
            part = tensor.double() * coefficients[int(index)]
            total[name] = total[name] + part if name in total else part
    return {name: tensor.float() for name, tensor in total.items()}


def load_ema(model: nn.Module, folder: Path, sigma_rel: float, step: int | None = None) -> None:
    """Put the averaged weights of `_synthesize` into ``model``.

    Raises:
        CheckpointError: no snapshots, or they are of another model.
    """
    averaged, own = _synthesize(folder, sigma_rel, step), trainable(model)
    if averaged.keys() != own.keys():
        raise CheckpointError(f"the averages in {folder} are of a model with other weights")
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(averaged[name])


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step_"))
