"""Removal of vocal residues: three passes of Demucs, keeping "no vocals" (Section III-E(b))."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.assets import require_files
from attm_core.constants import N_PASSES, Variant
from attm_core.errors import AssetError, CheckpointError, ConfigError, InputError
from attm_core.files import sha256_file
from attm_core.protocols import Separator
from attm_core.weights import build, load_strictly, only_tensors, read_pickle

if TYPE_CHECKING:
    from torch import nn

VOCALS = "vocals"
_RELEASED_PEAK = 0.95
_RELEASED_EPSILON = 1e-8

_MDX_EXTRA = "mdx_extra"
_ASSET = "demucs"  # its name in the manifest


class DemucsSeparator:
    """Any model of the ``demucs`` package behind the ``Separator`` role.

    It runs through ``demucs.apply.apply_model`` with no random shift, so the same input gives the
    same output. If ``vocals`` is its only source, "no vocals" is the input minus it. ``overlap`` is
    the share of a segment that neighbouring segments have in common.

    Raises:
        ConfigError: the model has no ``vocals`` source.
    """

    def __init__(
        self, model: nn.Module, overlap: float = 0.25, device: str | torch.device = "cpu"
    ) -> None:
        sources: list[str] = list(model.sources)  # type: ignore[arg-type]
        if VOCALS not in sources:
            raise ConfigError(f"a separator needs 'vocals' among its sources: {sources}")
        self.model = model.eval()
        self.overlap = overlap
        self.device = torch.device(device)
        self.sample_rate_hz = int(model.samplerate)  # type: ignore[arg-type]
        self.channels = int(model.audio_channels)  # type: ignore[arg-type]
        self.kept = [index for index, name in enumerate(sources) if name != VOCALS]

    @torch.no_grad()
    def no_vocals(self, waves: Float[Tensor, "B C S"]) -> Float[Tensor, "B C S"]:
        """The sum of all non-vocal sources of each clip at ``sample_rate_hz``.

        A model of several channels gets a mono clip on all of them; their mean is kept.

        Raises:
            InputError: not (B, C, S), or neither mono nor of the model's channels.
        """
        from demucs.apply import apply_model

        shape, wanted = tuple(waves.shape), f"(B, 1 or {self.channels}, S)"
        if len(shape) != 3 or shape[1] not in (1, self.channels):
            raise InputError(f"waves must have shape {wanted}, got {shape}")
        # PAPER-SILENT: the generator is mono and mdx_extra is stereo. As in the released script
        # the clip is duplicated to the model's channels and their mean is kept.
        mix = waves.expand(-1, self.channels, -1)
        # PAPER-DEVIATION: demucs' default shifts each model by a random offset (Python's global
        # generator), which makes the paper's step irreproducible; shifts=0 is deterministic.
        options = {"shifts": 0, "overlap": self.overlap, "device": self.device}
        sources = apply_model(self.model, mix.float(), **options)
        left: Tensor = sources[:, self.kept].sum(dim=1) if self.kept else mix - sources[:, 0]
        return left if waves.shape[1] == self.channels else left.mean(dim=1, keepdim=True)


def remove_vocals(
    waves: Float[Tensor, "B C S"],
    separator: Separator,
    n_passes: int = N_PASSES,
    variant: Variant = "as_written",
) -> Float[Tensor, "B C S"]:
    """Apply the separator ``n_passes`` times in sequence to B clips at its rate; the same shape.

    ``"as_released"`` also brings the peak of every clip to 0.95 after each pass.

    Raises:
        InputError: not (B, C, S), or NaN or infinite samples.
        ConfigError: unknown variant.
    """
    if variant not in ("as_written", "as_released"):
        raise ConfigError(f"separation variant {variant!r} is not as_written or as_released")
    if waves.ndim != 3:
        raise InputError(f"waves must have shape (B, C, S), got {tuple(waves.shape)}")
    if bad := [i for i, wave in enumerate(waves) if not torch.isfinite(wave).all()]:
        raise InputError(f"clips {bad[:10]} hold NaN or infinite samples")
    for _ in range(n_passes if len(waves) else 0):
        waves = separator.no_vocals(waves)
        if variant == "as_released":
            peak = waves.abs().amax(dim=(1, 2), keepdim=True)
            waves = waves / (peak + _RELEASED_EPSILON) * _RELEASED_PEAK
    return waves


def load_mdx_extra(folder: Path, device: str | torch.device = "cpu") -> DemucsSeparator:
    """The paper's separator from local files; nothing is fetched and no code in them runs.

    ``folder`` holds the four checkpoints of the bag under their published names, each of which
    ends in the first eight digits of its SHA-256.

    Raises:
        AssetError: a file is missing or fails its hash; the message says what to fetch.
        CheckpointError: a file holds something else than weights and a known model.
    """
    from demucs.apply import BagOfModels

    files, segment = _mdx_extra_bag()
    folder = require_files(_ASSET, files, folder)
    models = [_load_checkpoint(folder / name) for name in files]
    return DemucsSeparator(BagOfModels(models, segment=segment), device=device)


def _mdx_extra_bag() -> tuple[list[str], float]:
    """Names of the bag's checkpoints in order, and its segment in s, from demucs' own lists."""
    import yaml
    from demucs.pretrained import REMOTE_ROOT

    recipe = yaml.safe_load((REMOTE_ROOT / f"{_MDX_EXTRA}.yaml").read_text(encoding="utf-8"))
    listed = (REMOTE_ROOT / "files.txt").read_text(encoding="utf-8").split()
    files = [next(n for n in listed if n.startswith(f"{sign}-")) for sign in recipe["models"]]
    return files, float(recipe["segment"])


def _load_checkpoint(path: Path) -> nn.Module:
    """One demucs package, unpickled with an allow-list of the classes it may name."""
    from fractions import Fraction

    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs

    expected = path.stem.rsplit("-", 1)[-1]
    if not sha256_file(path).startswith(expected):
        raise AssetError(
            f"{path} does not match its hash {expected}…; delete it and fetch it again"
        )
    allowed: list[Any] = [Demucs, HDemucs, HTDemucs, Fraction]
    package = read_pickle(path, allowed)
    try:
        arguments, keywords, state = package["args"], package["kwargs"], package["state"]
        if package["klass"] not in allowed[:3]:
            raise TypeError(f"{package['klass']!r} is no model")
        model: nn.Module = build(lambda: package["klass"](*arguments, **keywords))
        load_strictly(model, only_tensors(state, str(path)), path)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is not a demucs checkpoint ({error!r}); fetch it again"
        ) from error
    return model
