"""Removal of vocal residues: three passes of Demucs, keeping "no vocals" (Section III-E(b))."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from attm_core.assets import find_asset
from attm_core.audio import check_wave
from attm_core.errors import AssetError, CheckpointError, ConfigError, InputError
from attm_core.files import sha256_file
from attm_core.protocols import Separator
from attm_core.state_dicts import load_strictly, only_tensors, read_pickle

if TYPE_CHECKING:
    from torch import nn

N_PASSES = 3  # Section III-E(b)
VOCALS = "vocals"
RELEASED_PEAK = 0.95
RELEASED_EPSILON = 1e-8

MDX_EXTRA = "mdx_extra"
ASSET = "demucs"  # its name in the manifest
MDX_EXTRA_URL = "https://dl.fbaipublicfiles.com/demucs/mdx_final/"

SeparationVariant = Literal["as_written", "as_released"]


@runtime_checkable
class BatchSeparator(Protocol):
    """A separator that also takes many mono clips at once."""

    def no_vocals_batch(self, waves: Tensor) -> Tensor:
        """The non-vocal sum of each of (B, S) mono clips."""
        ...


class DemucsSeparator:
    """Any model of the ``demucs`` package behind the ``Separator`` role.

    It runs through ``demucs.apply.apply_model`` with no random shift, so the same input gives the
    same output.

    Args:
        model: a ``Demucs``, ``HDemucs``, ``HTDemucs`` or ``BagOfModels`` that has ``vocals``; if
            that is its only source, "no vocals" is the input minus it.
        overlap: share of a segment that neighbouring segments have in common.
        device: where the model runs; clips come from and go back to wherever they are.

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

    def no_vocals(self, wave: Float[Tensor, "C S"]) -> Float[Tensor, "C S"]:
        """The sum of all non-vocal sources of one clip at ``sample_rate_hz``.

        Raises:
            InputError: not audio, see ``audio.check_wave``.
        """
        check_wave(wave)
        if wave.shape[0] == self.channels:
            return self._separate(wave[None])[0]
        return self.no_vocals_batch(wave)

    @torch.no_grad()
    def no_vocals_batch(self, waves: Float[Tensor, "B S"]) -> Float[Tensor, "B S"]:
        """The non-vocal sum of each mono clip; a stereo model hears it on both channels."""
        # PAPER-SILENT: the generator is mono and mdx_extra is stereo. As in the released script
        # the clip is duplicated to the model's channels and their mean is kept.
        mix = waves[:, None].expand(-1, self.channels, -1)
        return self._separate(mix).mean(dim=1)

    @torch.no_grad()
    def _separate(self, mix: Float[Tensor, "B C S"]) -> Float[Tensor, "B C S"]:
        from demucs.apply import apply_model

        # PAPER-DEVIATION: demucs' default shifts each model by a random offset (Python's global
        # generator), which makes the paper's step irreproducible; shifts=0 is deterministic.
        sources = apply_model(
            self.model, mix.float(), shifts=0, overlap=self.overlap, device=self.device
        )
        kept: Tensor = sources[:, self.kept].sum(dim=1) if self.kept else mix - sources[:, 0]
        return kept


def three_passes(
    wave: Float[Tensor, "C S"],
    separator: Separator,
    variant: SeparationVariant = "as_written",
    n_passes: int = N_PASSES,
) -> Float[Tensor, "C S"]:
    """Apply the separator ``n_passes`` times in sequence to one clip.

    Args:
        wave: audio at ``separator.sample_rate_hz``.
        separator: what removes vocals.
        variant: ``"as_released"`` also brings the peak of every pass to 0.95.
        n_passes: number of passes.

    Returns:
        What is left, same shape.

    Raises:
        InputError: not audio.
        ConfigError: unknown variant.
    """
    _check_variant(variant)
    left = check_wave(wave)
    for _ in range(n_passes):
        left = separator.no_vocals(left)
        if variant == "as_released":
            left = _to_released_peak(left)
    return left


def three_passes_batch(
    waves: Float[Tensor, "B S"],
    separator: Separator,
    variant: SeparationVariant = "as_written",
    n_passes: int = N_PASSES,
) -> Float[Tensor, "B S"]:
    """As ``three_passes`` on each of B mono clips, together where the separator can."""
    _check_variant(variant)
    if waves.ndim != 2:
        raise InputError(f"waves must have shape (B, S), got {tuple(waves.shape)}")
    if not isinstance(separator, BatchSeparator):
        left = [three_passes(wave[None], separator, variant, n_passes)[0] for wave in waves]
        return torch.stack(left) if left else waves
    for _ in range(n_passes if len(waves) else 0):
        waves = separator.no_vocals_batch(waves)
        if variant == "as_released":
            waves = _to_released_peak(waves[:, None])[:, 0]
    return waves


def _to_released_peak(waves: Tensor) -> Tensor:
    """Scale (…, C, S) so that the peak over channels and time is 0.95."""
    peak = waves.abs().amax(dim=(-2, -1), keepdim=True)
    return waves / (peak + RELEASED_EPSILON) * RELEASED_PEAK


def _check_variant(variant: str) -> None:
    if variant not in ("as_written", "as_released"):
        raise ConfigError(f"separation variant {variant!r} is not as_written or as_released")


def load_mdx_extra(folder: Path, device: str | torch.device = "cpu") -> DemucsSeparator:
    """The paper's separator from local files; nothing is fetched and no code in them runs.

    Args:
        folder: holds the four checkpoints of the bag under their published names, each of which
            ends in the first eight digits of its SHA-256.
        device: where to run it.

    Raises:
        AssetError: a file is missing or fails its hash; the message says what to fetch.
        CheckpointError: a file holds something else than weights and a known model.
    """
    from demucs.apply import BagOfModels

    folder = Path(folder)
    signatures, segment = _mdx_extra_recipe()
    files = mdx_extra_files()
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise AssetError(
            f"{folder} lacks {', '.join(missing)} of {MDX_EXTRA}: run `attm assets fetch {ASSET}` "
            f"(licence: {find_asset(ASSET).licence}), or put them there from {MDX_EXTRA_URL}"
        )
    models = [_load_checkpoint(folder / name) for name in files]
    assert len(models) == len(signatures)
    return DemucsSeparator(BagOfModels(models, segment=segment), device=device)


def mdx_extra_files() -> list[str]:
    """Names of the four checkpoints, in the order of the bag, from demucs' own lists."""
    from demucs.pretrained import REMOTE_ROOT

    signatures, _ = _mdx_extra_recipe()
    listed = (REMOTE_ROOT / "files.txt").read_text(encoding="utf-8").split()
    return [next(name for name in listed if name.startswith(f"{sig}-")) for sig in signatures]


def _mdx_extra_recipe() -> tuple[list[str], float]:
    import yaml
    from demucs.pretrained import REMOTE_ROOT

    recipe = yaml.safe_load((REMOTE_ROOT / f"{MDX_EXTRA}.yaml").read_text(encoding="utf-8"))
    return [str(signature) for signature in recipe["models"]], float(recipe["segment"])


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
        model: nn.Module = package["klass"](*arguments, **keywords)
        load_strictly(model, only_tensors(state, str(path)), path)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is not a demucs checkpoint ({error!r}); fetch it again"
        ) from error
    return model
