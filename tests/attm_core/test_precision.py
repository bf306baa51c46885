import pytest
import torch

from attm_core.precision import fast_autocast, fast_dtype


@pytest.mark.parametrize("instruction", ["avx512_bf16", "amx_bf16", "bf16", "avx2"])
def test_bfloat16_where_there_are_instructions_for_it(processor, instruction):
    processor(**{"avx512_bf16": False, instruction: True})
    wanted = torch.float32 if instruction == "avx2" else torch.bfloat16
    assert fast_dtype("cpu") == wanted
    a = torch.ones(2, 2)
    with fast_autocast("cpu"):
        assert (a @ a).dtype == wanted
    with fast_autocast("cpu", enabled=False):
        assert (a @ a).dtype == torch.float32
