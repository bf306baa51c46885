import pytest
import torch

from attm_core.precision import fast_autocast, fast_dtype


@pytest.mark.parametrize("instruction", ["avx512_bf16", "amx_bf16", "bf16"])
def test_bfloat16_where_there_are_instructions_for_it(processor, instruction):
    processor(avx2=True, **{instruction: True})
    assert fast_dtype("cpu") == torch.bfloat16


def test_float32_where_bfloat16_would_be_emulated(processor):
    processor(avx2=True, avx512_bf16=False, amx_bf16=False)
    assert fast_dtype("cpu") == torch.float32


@pytest.mark.parametrize(("native", "wanted"), [(True, torch.bfloat16), (False, torch.float32)])
def test_autocast_follows_the_processor(processor, native, wanted):
    processor(avx512_bf16=native)
    a = torch.ones(2, 2)
    with fast_autocast("cpu"):
        assert (a @ a).dtype == wanted


def test_autocast_can_be_left_off(processor):
    processor(avx512_bf16=True)
    with fast_autocast("cpu", enabled=False):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
