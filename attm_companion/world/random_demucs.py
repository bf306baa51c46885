"""The paper's separator at birth: mdx_extra's four networks with random weights (Section III-E(b)).

It costs what the published one costs and separates nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Generator, nn

from attm_companion.world.random_networks import born
from attm_core.generation.separation import DemucsSeparator

SOURCES = ("drums", "bass", "other", "vocals")
SEGMENT_S = 44.0  # of the published bag: a clip of 10 s is one segment
# demucs' model zoo: four hybrid models of 48 channels, two on complex spectrograms as channels and
# two on masked amplitudes. The rest is the package's default, which is that of its training.
# PAPER-SILENT: the zoo does not say which two are which; their order in the bag does not matter,
# since all four are averaged with equal weights.
COMPLEX_AS_CHANNELS = (True, True, False, False)


def random_mdx_extra(
    generator: Generator, sizes: Mapping[str, Any] | None = None
) -> DemucsSeparator:
    """Four Hybrid-Demucs v3 models behind the ``Separator`` role: 44.1 kHz, stereo.

    Args:
        generator: source of the weights.
        sizes: arguments of ``HDemucs`` in place of the published ones; smaller ones for tests.
    """
    from demucs.apply import BagOfModels

    models = [_random_model(generator, cac, sizes or {}) for cac in COMPLEX_AS_CHANNELS]
    return DemucsSeparator(BagOfModels(models, segment=SEGMENT_S))


def _random_model(generator: Generator, cac: bool, sizes: Mapping[str, Any]) -> nn.Module:
    from demucs.hdemucs import HDemucs

    def make() -> nn.Module:
        model: nn.Module = HDemucs(list(SOURCES), **{"cac": cac, **sizes})
        return model

    return born(make, generator)
