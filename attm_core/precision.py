"""Which number format a device multiplies fast.

A profile that asks for bfloat16 asks for speed. Processors without bfloat16 instructions emulate it
some sixty times slower than float32, so there the products stay in float32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch

_CPU_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")  # x86 with 512-bit vectors, its AMX, ARM


@cache
def fast_dtype(device_type: str = "cpu") -> torch.dtype:
    """``torch.bfloat16`` where the device (``"cpu"``, ``"cuda"`` …) is fast at it, else float32."""
    if device_type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        found = torch.cpu.get_capabilities()
        native = any(found.get(name, False) for name in _CPU_INSTRUCTIONS)
    return torch.bfloat16 if native else torch.float32


def fast_autocast(device_type: str, enabled: bool = True) -> AbstractContextManager[object]:
    """Autocast to bfloat16 if that is ``enabled`` and the device is fast at it."""
    if not enabled or fast_dtype(device_type) == torch.float32:
        return nullcontext()
    return torch.autocast(device_type, dtype=torch.bfloat16)
