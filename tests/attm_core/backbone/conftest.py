import pytest
import torch

from attm_core.backbone.flux_audio import Conditions


@pytest.fixture
def inputs():
    """x_t, t and conditions for three rows of the ``SMALL`` sizes."""
    generator = torch.Generator().manual_seed(11)
    x_t = torch.randn(3, 9, 4, generator=generator)
    tokens = torch.randn(3, 5, 12, generator=generator)
    pooled = torch.randn(3, 10, generator=generator)
    return x_t, torch.tensor([0.1, 0.5, 0.9]), Conditions(tokens, pooled)
