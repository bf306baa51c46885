import pytest
import torch

from attm_core.precision import fast_autocast, fast_dtype


@pytest.mark.parametrize("instruction", ["avx512_bf16", "amx_bf16", "bf16"])
def test_bfloat16_where_there_are_instructions_for_it(processor, instruction):
    processor(avx2=True, **{instruction: True})
    assert fast_dtype("cpu") == torch.bfloat16


@pytest.mark.parametrize(("native", "wanted"), [(True, torch.bfloat16), (False, torch.float32)])
def test_autocast_follows_the_processor(processor, native, wanted):
    processor(avx512_bf16=native)
    a = torch.ones(2, 2)
    with fast_autocast("cpu"):
        assert (a @ a).dtype == wanted
    with fast_autocast("cpu", enabled=False):
        assert (a @ a).dtype == torch.float32
